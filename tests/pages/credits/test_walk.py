"""The walks of issue 3 in a real browser, on a wide and on a phone window: a bad code, and a whole course's stock."""

from decimal import Decimal
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from courses.models import Enrollment
from credits.checks import check_codes
from credits.models import CodeBatch, Contest, CreditCode, CreditRequest, ImportDraft, Purpose
from credits.services import claim
from spend.services import budget_of
from tests.conftest import Cast
from tests.credits.conftest import code_text, make_batch
from tests.instances.conftest import Stage
from tests.pages.credits.conftest import asked
from tests.pages.test_browser import Visitor, visitor

__all__ = ["visitor"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]

WIDE, PHONE = (1280, 900), (390, 800)
both_windows = pytest.mark.parametrize("window", [WIDE, PHONE], ids=["wide", "phone"])
USED = "Attempting to redeem a promotion code that has already been redeemed : {code}"


def opened(visitor: Visitor, line: Enrollment, path: str, window: tuple[int, int]) -> Page:
    page = visitor.open(line.user, path)
    page.set_viewport_size({"width": window[0], "height": window[1]})
    return page


def fits(page: Page) -> None:
    """Nothing is wider than its window; tables and tabs scroll inside."""
    page.wait_for_load_state()
    # Waited for: between two pages there is a moment without a document.
    page.wait_for_function("document.documentElement && document.documentElement.scrollWidth <= innerWidth")


@both_windows
def test_a_student_claims_fails_to_redeem_and_gets_a_replacement(
    today: Stage, cast: Cast, batch: CodeBatch, visitor: Visitor, window: tuple[int, int]
) -> None:
    page = opened(visitor, cast.student, "/c/dl19/", window)
    page.get_by_role("button", name="Claim $100.00").click()
    page.get_by_role("button", name="Show code").click()
    expect(page.locator(".code-box code")).to_have_text(code_text(0))
    page.get_by_role("link", name="It doesn’t work").click()
    page.get_by_label("Paste what AWS says").fill(USED.format(code=code_text(0)))
    fits(page)
    page.get_by_role("button", name="What does it mean?").click()
    assert code_text(0) not in page.content()
    page.get_by_role("heading", name="It sounds like this").wait_for()
    page.locator(".choices").first.get_by_role("button", name="AWS says that it was redeemed already").click()
    fits(page)
    page.get_by_role("button", name="It failed with this").click()
    expect(page.get_by_text("Here is another one, yours from now on")).to_be_visible()
    fits(page)
    page.get_by_role("button", name="Show code").click()
    expect(page.locator(".code-box code")).to_have_text(code_text(1))
    page.get_by_role("button", name="AWS took the code").click()
    expect(page.get_by_text("We noted that AWS took the code")).to_be_visible()
    states = dict(CreditCode.objects.filter(holder=cast.student).values_list("last4", "status"))
    assert states == {code_text(0)[-4:]: "quarantined", code_text(1)[-4:]: "redeemed"}
    assert "already been redeemed" in cast.student.failed_reports.get().message


@both_windows
def test_who_comes_too_late_sees_their_place_and_then_the_code(
    today: Stage, cast: Cast, visitor: Visitor, window: tuple[int, int]
) -> None:
    batch = make_batch(cast.course, codes=0, name="Welcome credit")
    page = opened(visitor, cast.student, "/c/dl19/", window)
    page.get_by_role("button", name="Take a place in line").click()
    expect(page.locator(".queue-place")).to_contain_text("1 is your place in line")
    fits(page)
    make_more(batch)
    page.reload()
    expect(page.get_by_role("button", name="Show code")).to_be_visible()


def make_more(batch: CodeBatch) -> None:
    from credits.stock import add_codes

    add_codes(batch, [(1, code_text(900))], who=None, now=timezone.now())


@both_windows
def test_an_instructor_brings_in_a_messy_file_and_opens_it(
    today: Stage, cast: Cast, batch: CodeBatch, visitor: Visitor, window: tuple[int, int], tmp_path: Path
) -> None:
    file = tmp_path / "codes.csv"
    lines = ["No;Code;Value", "1;PCNEWCODE00001;50", f"2;{code_text(1)};50", "3;PCNEWCODE00001;50", "4;two words;50"]
    file.write_bytes("\ufeff".encode() + "\r\n".join([*lines, "5;PCNEWCODE00002;50"]).encode())
    page = opened(visitor, cast.instructor, "/c/dl19/staff/credits/", window)
    fits(page)
    page.get_by_role("link", name="Add codes").first.click()
    page.get_by_role("button", name="Read the list").click()
    expect(page.get_by_text("Choose a file, or paste the codes.")).to_be_visible()
    visitor.complaints.clear()  # the browser notes the 422
    page.get_by_label("A file").set_input_files(file)
    page.get_by_role("button", name="Read the list").click()
    preview = page.locator("#preview")
    expect(preview).to_contain_text("There is a space inside")
    expect(preview.locator(".figure dd")).to_have_text(["2", "2", "1"])
    assert "PCNEWCODE" not in page.content()
    assert code_text(1) not in page.content()
    fits(page)
    page.get_by_label("Value", exact=False).first.check()  # a wrong column says so at once …
    expect(preview.locator(".figure dd").first).to_have_text("0")
    page.get_by_label("Code · ", exact=False).check()  # … and back
    expect(preview.locator(".figure dd")).to_have_text(["2", "2", "1"])
    page.get_by_label("Name", exact=True).fill("Project credit")
    page.get_by_label("USD per code").fill("50")
    page.get_by_role("button", name="Add 2 codes").click()
    expect(page.get_by_text("2 codes came into “Project credit”.")).to_be_visible()
    fits(page)
    made = CodeBatch.objects.get(name="Project credit")
    assert made.codes.count() == 2
    assert not ImportDraft.objects.exists()
    assert claimable_by(cast.student) == {"Welcome credit"}  # nobody claims before it is opened
    page.get_by_role("button", name="Open now for 2 people").click()
    expect(page.get_by_text("people can claim now")).to_be_visible()
    assert claimable_by(cast.student) == {"Welcome credit", "Project credit"}
    assert check_codes() == []


def claimable_by(line: Enrollment) -> set[str]:
    from credits.queries import claimable

    return {offer.batch.name for offer in claimable(line, timezone.now()) if offer.refusal is None}


@both_windows
def test_the_rule_is_said_in_words_while_it_is_put_together(
    today: Stage, cast: Cast, batch: CodeBatch, visitor: Visitor, window: tuple[int, int]
) -> None:
    page = opened(visitor, cast.ta, f"/c/dl19/staff/credits/batches/{batch.pk}/", window)
    expect(page.locator(".rule-words")).to_contain_text("2 people today.")
    page.get_by_text("Change who may claim").click()
    page.get_by_label("TA", exact=True).check()
    expect(page.locator("#rule-draft")).to_contain_text("TAs")
    expect(page.locator("#rule-draft")).to_contain_text("3 people today.")
    fits(page)
    batch.refresh_from_db()
    assert batch.rule == {}  # nothing is saved yet
    page.get_by_role("button", name="Save the rule").click()
    expect(page.locator(".rule-words")).to_contain_text("3 people today.")


@both_windows
def test_requests_are_answered_in_bulk_and_one_by_one(
    today: Stage, cast: Cast, visitor: Visitor, window: tuple[int, int]
) -> None:
    make_batch(cast.course, codes=1, first=100, name="Reserve", purpose=Purpose.RESERVE)
    page = opened(visitor, cast.student, "/c/dl19/ask/", window)
    page.get_by_label("How much, in USD?").fill("40")
    page.get_by_label("What for?").fill("Video data")
    fits(page)
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_text("Waiting for an answer")).to_be_visible()
    asked(cast.other_student, 30, reason="Audio")
    asked(cast.other_student, 70, for_team=True, reason="All of us")
    staff = opened(visitor, cast.ta, "/c/dl19/staff/credits/requests/", window)
    expect(staff.locator(".ticket")).to_have_count(3)
    fits(staff)
    staff.get_by_label("Choose all").check()
    staff.locator(".ticket").last.get_by_role("checkbox").uncheck()
    staff.get_by_role("button", name="Approve chosen").click()
    expect(staff.get_by_text("2 requests answered, $70.00 approved")).to_be_visible()
    assert budget_of(cast.student).amount_usd == 140
    staff.locator(".ticket summary").click()
    staff.locator(".ticket").get_by_role("button", name="Deny").click()
    expect(staff.get_by_text("Say why not")).to_be_visible()  # beside the request, which is still there
    visitor.complaints.clear()  # the browser notes the 422
    staff.locator(".ticket").get_by_label("To the student").fill("Ask again after the midterm")
    staff.locator(".ticket").get_by_role("button", name="Deny").click()
    expect(staff.get_by_text("Nobody waits")).to_be_visible()
    page = opened(visitor, cast.student, "/c/dl19/ask/", window)
    expect(page.get_by_text("The budget is larger by $40.00.")).to_be_visible()
    expect(page.get_by_text("Ask again after the midterm")).to_be_visible()
    assert set(CreditRequest.objects.values_list("status", flat=True)) == {"approved", "denied"}


KAGGLE = "Rank,TeamId,TeamName,LastSubmissionDate,Score,SubmissionCount,TeamMemberUserNames\n"


@both_windows
def test_three_prizes_are_awarded_from_a_leaderboard(
    today: Stage, cast: Cast, visitor: Visitor, window: tuple[int, int], tmp_path: Path
) -> None:
    make_batch(cast.course, first=200, name="HW4 prizes", purpose=Purpose.PRIZE, value_usd=Decimal(500))
    board = tmp_path / "leaderboard.csv"
    rows = "1,11,Team 1,2019-02-19,0.91,9,x\n2,12,Ada Student,2019-02-19,0.90,9,ada\n"
    board.write_text(f"{KAGGLE}{rows}3,13,gradient gang,2019-02-19,0.89,2,y\n")
    page = opened(visitor, cast.instructor, "/c/dl19/staff/credits/contests/", window)
    page.get_by_label("Name").fill("HW4")
    page.get_by_role("button", name="Next: its ranking").click()
    page.get_by_label("The leaderboard as a file").set_input_files(board)
    page.get_by_role("button", name="Next: who is who").click()
    expect(page.get_by_label("Who is behind “Team 1”?")).to_have_value(f"team:{cast.team.pk}")
    page.get_by_label("Who is behind “gradient gang”?").select_option(label="Ben Other")
    fits(page)
    page.get_by_role("button", name="Write the ranking down").click()
    expect(page.get_by_text("Somebody here is behind another place, too.").first).to_be_visible()
    fits(page)
    for box in page.locator(".ticket input[type=checkbox]").all():
        box.check()
    page.get_by_role("button", name="Award the chosen places").click()
    expect(page.get_by_text("3 prizes are awarded.")).to_be_visible()
    assert Contest.objects.get().ranking.filter(code__isnull=False).count() == 3
    winner = opened(visitor, cast.student, "/c/dl19/", window)
    expect(winner.get_by_role("heading", name="Your prize: $500.00")).to_have_count(2)  # alone, and with the team
    fits(winner)


@both_windows
def test_staff_look_with_a_reason_and_the_student_reads_it(
    today: Stage, cast: Cast, batch: CodeBatch, visitor: Visitor, window: tuple[int, int]
) -> None:
    assert cast.student.user
    code = claim(cast.student, batch, who=cast.student.user, address=None, now=timezone.now())
    page = opened(visitor, cast.ta, f"/c/dl19/staff/credits/codes/{code.pk}/", window)
    page.get_by_label("Reason").first.fill("You asked me on the phone")
    fits(page)
    page.get_by_role("button", name="Show the code").click()
    expect(page.locator(".code-box code")).to_have_text(code_text(0))
    student = opened(visitor, cast.student, "/c/dl19/", window)
    student.get_by_text("Others looked at it: 1 time").click()
    expect(student.get_by_text("You asked me on the phone")).to_be_visible()
    fits(student)
