"""Showing a code: to its holder, or to staff with a reason; every look is a row; the text is nowhere else."""

import logging
import sys

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test import RequestFactory
from django.views.debug import ExceptionReporter
from pytest_django.fixtures import Settings

from courses.models import EnrollmentStatus, User
from credits import vault
from credits.models import CodeBatch, CodeEvent, CreditCode
from credits.queries import codes_visible_to
from credits.services import RevealRefused, claim, report_redeemed, reveal
from tests.conftest import Cast
from tests.credits.conftest import NOW, code_text


@pytest.fixture
def code(cast: Cast, batch: CodeBatch) -> CreditCode:
    return claim(cast.student, batch, who=cast.student.user, address=None, now=NOW)


def _reveal(code: CreditCode, who: User, why: str = "") -> str:
    return reveal(code, who=who, why=why, address="10.9.8.7", now=NOW)


def test_the_holder_sees_the_code_each_time_and_each_time_is_a_row(cast: Cast, code: CreditCode) -> None:
    shown = _reveal(code, cast.student.user)
    assert shown == code_text(0)
    assert _reveal(code, cast.student.user) == shown
    looks = CodeEvent.objects.filter(code=code, verb="revealed")
    assert [(look.who, look.address) for look in looks] == [(cast.student.user, "10.9.8.7")] * 2


@pytest.mark.parametrize("who", ["ta", "instructor"])
def test_staff_see_it_only_with_a_reason_which_stays_on_record(cast: Cast, code: CreditCode, who: str) -> None:
    user = getattr(cast, who).user
    with pytest.raises(RevealRefused, match="Say why"):
        _reveal(code, user, "  ")
    assert not CodeEvent.objects.filter(verb="revealed").exists()
    assert _reveal(code, user, "She cannot read it on her phone") == code_text(0)
    assert CodeEvent.objects.get(verb="revealed").why == "She cannot read it on her phone"


@pytest.mark.parametrize("who", ["other_student", "foreign_instructor", "stranger", "dropped_ta"])
def test_nobody_else_sees_it_whatever_they_say(cast: Cast, code: CreditCode, who: str) -> None:
    if who == "dropped_ta":
        cast.ta.status = EnrollmentStatus.DROPPED
        cast.ta.save()
    line = getattr(cast, "ta" if who == "dropped_ta" else who)
    with pytest.raises(RevealRefused, match="somebody else"):
        _reveal(code, line if isinstance(line, User) else line.user, "please")
    assert not CodeEvent.objects.filter(verb="revealed").exists()


def test_a_code_that_nobody_holds_is_shown_to_staff_only(cast: Cast, batch: CodeBatch) -> None:
    free = batch.codes.filter(status="available")[0]
    with pytest.raises(RevealRefused):
        _reveal(free, cast.student.user)
    assert _reveal(free, cast.instructor.user, "checking the import")


def test_each_person_finds_the_codes_that_are_theirs_to_see(cast: Cast, batch: CodeBatch, code: CreditCode) -> None:
    def seen(user: User) -> int:
        return codes_visible_to(user).count()

    assert list(codes_visible_to(cast.student.user)) == [code]
    assert seen(cast.other_student.user) == 0
    assert seen(cast.ta.user) == seen(cast.instructor.user) == 3
    assert seen(cast.foreign_instructor.user) == seen(cast.stranger) == 0
    assert seen(AnonymousUser()) == 0


def test_the_holder_reports_it_redeemed_once(cast: Cast, code: CreditCode) -> None:
    with pytest.raises(RevealRefused):
        report_redeemed(code, who=cast.ta.user, address=None, now=NOW)
    assert report_redeemed(code, who=cast.student.user, address=None, now=NOW) is True
    assert code.status == "redeemed"
    assert report_redeemed(code, who=cast.student.user, address=None, now=NOW) is False
    assert CodeEvent.objects.filter(verb="redeemed").count() == 1


def test_no_log_line_and_no_table_holds_the_text(
    cast: Cast, code: CreditCode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("django.db.backends").setLevel(logging.DEBUG)
    connection.force_debug_cursor = True  # even every statement logged with its parameters
    try:
        text = _reveal(code, cast.student.user)
    finally:
        connection.force_debug_cursor = False
    assert "credits_codeevent" in caplog.text
    assert text not in caplog.text
    rows = str(list(CreditCode.objects.values())) + str(list(CodeEvent.objects.values()))
    assert text not in rows


class BrokenBox:
    def encrypt(self, _data: bytes) -> bytes:
        raise RuntimeError("broken")


def test_an_error_page_hides_the_code(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "_box_for", lambda _keys: BrokenBox())
    try:
        vault.seal("PCSECRET00099")
    except RuntimeError:
        reporter = ExceptionReporter(RequestFactory().get("/"), *sys.exc_info())
        page = reporter.get_traceback_text()
        frames = [f for f in reporter.get_traceback_frames() if f["filename"].endswith("credits/vault.py")]
    assert "PCSECRET00099" not in str([frame["vars"] for frame in frames])
    assert "RuntimeError" in page
