"""Stock on the staff's pages: what is typed wrong is said where it is, nothing is half done, no page shows a code."""

import io
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from openpyxl import Workbook

from courses.tables import MOST_BYTES
from credits import drafts
from credits.models import BatchEvent, CodeBatch, CreditCode, ImportDraft
from credits.sweep import sweep
from tests.conftest import Cast
from tests.credits.conftest import code_text
from tests.pages.conftest import signed_in
from tests.pages.credits.conftest import Shop

NEW = {"target": "new", "name": "Project credit", "value_usd": "50", "purpose": "everyone"}


@pytest.fixture
def ta(shop: Shop, cast: Cast) -> Client:
    return signed_in(cast.ta.user)


def upload(client: Client, content: bytes, name: str = "codes.csv") -> str:
    """The first step's answer: the address of the second, or the page with its error."""
    answer = client.post(reverse("credits_import", args=["dl19"]), {"file": SimpleUploadedFile(name, content)})
    return answer["Location"] if answer.status_code == 302 else answer.content.decode()


def confirm(client: Client, step: str, **said: str) -> str:
    return client.post(step, {"confirm": "1", "column": "0", **NEW, **said}, follow=True).content.decode()


def test_a_list_lies_sealed_in_the_database_and_nowhere_else(ta: Client) -> None:
    step = upload(ta, b"PCSECRET0000001\nPCSECRET0000002\n")
    draft = ImportDraft.objects.get()
    assert "PCSECRET" not in draft.sealed
    assert drafts.content_of(draft).startswith(b"PCSECRET0000001")
    assert "PCSECRET" not in str(dict(ta.session.items()))
    assert "PCSECRET" not in ta.get(step).content.decode()
    confirm(ta, step)
    assert CreditCode.objects.filter(batch__name="Project credit").count() == 2
    assert not ImportDraft.objects.exists()


def test_a_list_that_nobody_confirms_is_forgotten_after_an_hour(ta: Client) -> None:
    step = upload(ta, b"PCSECRET0000001\n")
    sweep(timezone.now() + timedelta(minutes=59))
    assert ImportDraft.objects.exists()
    sweep(timezone.now() + timedelta(minutes=61))
    assert not ImportDraft.objects.exists()
    assert "no longer kept" in ta.get(step, follow=True).content.decode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The submitted file is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "This is not a table"),
        (b'"open;1\nPC1;2\n', "quotation marks in line 1"),
        (b"PC" * (MOST_BYTES // 2 + 10), "too large"),
    ],
    ids=["empty", "photo", "quote", "too big"],
)
def test_what_is_no_list_is_refused_at_its_field_and_nothing_is_kept(ta: Client, content: bytes, said: str) -> None:
    before = set(ImportDraft.objects.values_list("pk", flat=True))
    page = upload(ta, content)
    assert said in page
    assert 'id="id_file_error"' in page
    assert set(ImportDraft.objects.values_list("pk", flat=True)) == before


def test_a_pasted_list_that_is_refused_is_not_written_back_into_the_page(ta: Client) -> None:
    answer = ta.post(reverse("credits_import", args=["dl19"]), {"pasted": 'PCSECRET0000001;1\n"PCSECRET0000002'})
    assert answer.status_code == 422
    assert 'id="id_pasted_error"' in answer.content.decode()
    assert b"PCSECRET" not in answer.content


def test_an_excel_file_with_a_formula_names_its_row(ta: Client) -> None:
    book = Workbook()
    for row in (["Code"], ["PCEXCEL00001"], ["=A2"]):
        book.active.append(row)
    content = io.BytesIO()
    book.save(content)
    page = ta.get(upload(ta, content.getvalue(), "codes.xlsx")).content.decode()
    assert "Line 3" in page
    assert "This is a formula" in page


@pytest.mark.slow
def test_fifty_thousand_rows_come_in_with_one_confirm(ta: Client) -> None:
    step = upload(ta, b"code\n" + b"".join(b"PCBULK%08d\n" % n for n in range(50_000)))
    page = ta.get(step).content.decode()
    assert "Add 50000 codes" in page.replace(",", "")
    assert len(page) < 100_000  # a hundred lines of each list are shown
    confirm(ta, step, has_heading="on")
    assert CodeBatch.objects.get(name="Project credit").codes.count() == 50_000


def test_missing_facts_are_said_at_their_fields_and_the_list_stays(ta: Client) -> None:
    step = upload(ta, b"PCSECRET0000001\n")
    page = confirm(ta, step, name="", value_usd="-1", redeem_by="2026-02-01", expires_on="2026-01-01")
    for field in ("name", "value_usd", "expires_on"):
        assert f'id="id_{field}_error"' in page
    assert not CodeBatch.objects.filter(name="Project credit").exists()
    assert ImportDraft.objects.exists()


def test_a_list_without_a_new_code_makes_no_batch(ta: Client, shop: Shop) -> None:
    page = confirm(ta, upload(ta, code_text(0).encode()))
    assert "There is no new code in this column." in page
    assert not CodeBatch.objects.filter(name="Project credit").exists()


def test_codes_go_into_the_batch_that_they_were_brought_for(ta: Client, shop: Shop) -> None:
    there = reverse("credits_import", args=["dl19"]) + f"?batch={shop.reserve.pk}"
    step = ta.post(there, {"pasted": "PCSECRET0000001"})["Location"]
    assert f'<option value="{shop.reserve.pk}" selected>' in ta.get(step).content.decode()
    confirm(ta, step, target=str(shop.reserve.pk))
    assert shop.reserve.codes.count() == 4


def test_another_courses_batch_is_no_target(ta: Client, cast: Cast) -> None:
    foreign = CodeBatch.objects.create(course=cast.other_course, name="Theirs", value_usd=1)
    confirm(ta, upload(ta, b"PCSECRET0000001\n"), target=str(foreign.pk))
    assert not foreign.codes.exists()


def test_a_rule_that_lets_nobody_claim_is_refused_at_its_field(ta: Client, shop: Shop) -> None:
    page = ta.post(reverse("credits_batch_rule", args=["dl19", shop.batch.pk]), {}).content.decode()
    assert "Choose at least one: with none, nobody could claim." in page
    assert not BatchEvent.objects.filter(batch=shop.batch, verb="rule").exists()


def test_a_batch_cannot_close_before_it_opens(ta: Client, shop: Shop) -> None:
    times = {"opens_at": "2026-12-01T10:00", "closes_at": "2026-12-01T09:00"}
    page = ta.post(reverse("credits_batch_schedule", args=["dl19", shop.batch.pk]), times).content.decode()
    assert "It would close before it opens." in page
    assert 'id="id_closes_at_error"' in page


def test_the_value_of_codes_given_out_stays_and_a_name_may_change(ta: Client, shop: Shop) -> None:
    target = reverse("credits_batch_change", args=["dl19", shop.batch.pk])
    facts = {"name": "Welcome", "value_usd": "100", "purpose": "everyone", "expires_on": "2027-09-30"}
    assert "are given out" in ta.post(target, {**facts, "value_usd": "500"}).content.decode()
    assert ta.post(target, facts).status_code == 302
    shop.batch.refresh_from_db()
    assert (shop.batch.name, shop.batch.value_usd) == ("Welcome", 100)


def test_a_look_without_a_reason_shows_nothing(ta: Client, shop: Shop) -> None:
    target = reverse("credits_code_reveal", args=["dl19", shop.code.pk])
    answer = ta.post(target, {"why": " "})
    assert code_text(0) not in answer.content.decode()
    assert "Say why" in answer.content.decode()
    shown = ta.post(target, {"why": "asked by phone"})
    assert code_text(0) in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]


def test_no_page_and_no_file_of_the_staff_holds_a_code(ta: Client, shop: Shop) -> None:
    pages = ["credits_desk", "credits_csv", "credits_xlsx", "credits_reports", "credits_requests", "credits_contests"]
    targets = [reverse(name, args=["dl19"]) for name in pages]
    targets += [reverse("credits_batch", args=["dl19", b.pk]) for b in (shop.batch, shop.reserve, shop.prizes)]
    targets += [reverse("credits_code", args=["dl19", shop.code.pk])]
    for target in targets:
        content = ta.get(target).content
        assert not [n for n in (0, 1, 2, 100, 101, 200) if code_text(n).encode() in content], target
