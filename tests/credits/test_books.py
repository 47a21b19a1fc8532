"""The books: every code in one column, always the sum of what came in; what is lost when is said in time, to whom."""

import csv
import io
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from openpyxl import load_workbook

from courses.models import Course
from credits.awards import award
from credits.books import Place, books
from credits.checks import check_and_keep, check_codes, latest_check
from credits.course_account import ask
from credits.daily import EVERY, daily
from credits.expiry import expiring, remind, unclaimed
from credits.exports import codes_csv, codes_xlsx
from credits.failures import report_failed
from credits.models import CodeBatch, CodeEvent, CodesCheck, CreditCode, Letter, Purpose
from credits.returns import revoke
from credits.services import claim, report_redeemed
from tests.conftest import Cast
from tests.credits.conftest import NOW, code_text, enroll_students, make_batch

TODAY = NOW.date()


def a_semester(cast: Cast) -> CodeBatch:
    """One code of each fate."""
    batch = make_batch(cast.course, 8, replace_at_once=False, name="=HYPERLINK(1)")
    people = [cast.student, cast.other_student, *cast.course.enrollments.filter(pk__in=enroll_students(cast.course, 3))]
    codes = [claim(line, batch, who=line.user, address=None, now=NOW) for line in people]
    report_redeemed(codes[1], who=people[1].user, address=None, now=NOW)
    report_failed(codes[2], cause="other", message="", who=people[2].user, address=None, now=NOW)
    report_failed(codes[3], cause="used", message="", who=people[3].user, address=None, now=NOW)
    revoke(codes[4], why="left", who=cast.instructor.user, now=NOW)
    ask(list(batch.codes.filter(status="available")[:1]), why="project", who=cast.instructor.user, now=NOW)
    return batch


def test_every_code_is_in_one_column(cast: Cast) -> None:
    batch = a_semester(cast)
    (line,) = books(cast.course, TODAY).lines
    assert line.count == {
        Place.FREE: 2,
        Place.CLAIMED: 1,
        Place.REDEEMED: 1,
        Place.FAILED: 1,
        Place.QUARANTINED: 1,
        Place.REVOKED: 1,
        Place.COURSE: 1,
    }
    assert (line.bought, line.bought_usd, line.usd(Place.FREE)) == (8, 800, 200)
    assert sum(line.usd(place) for place in Place) == line.bought_usd
    assert check_codes(cast.course) == []
    batch.redeem_by = TODAY - timedelta(days=1)
    batch.save()
    (line,) = books(cast.course, TODAY).lines
    assert (line.count[Place.EXPIRED], line.count.get(Place.FREE), line.bought) == (2, None, 8)


def test_prizes_and_reserve_are_reserved_until_they_are_given(cast: Cast) -> None:
    pool = make_batch(cast.course, 2, purpose=Purpose.PRIZE, value_usd=Decimal(500))
    make_batch(cast.course, 1, first=10, purpose=Purpose.RESERVE)
    award(pool, cast.student, key="contest/1", why="x", who=None, now=NOW)
    found = books(cast.course, TODAY)
    assert (found.count(Place.RESERVED), found.usd(Place.RESERVED), found.count(Place.CLAIMED)) == (2, 600, 1)
    assert (found.bought, found.bought_usd) == (3, 1100)


def test_more_batches_cost_no_more_queries(cast: Cast) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            books(cast.course, TODAY)
        return len(seen)

    make_batch(cast.course, 1)
    one = queries()
    for number in range(1, 5):
        make_batch(cast.course, 1, first=number)
    assert (queries(), len(books(cast.course, TODAY).lines)) == (one, 5)
    assert one == 2


# ------------------------------------------------------------------ the check


def _moved_by_hand() -> None:
    CreditCode.objects.filter(status="claimed").update(status="redeemed")


def _without_its_history() -> None:
    CodeEvent.objects.filter(verb="imported", code=CreditCode.objects.first()).delete()


@pytest.mark.parametrize("wrong", [_moved_by_hand, _without_its_history])
def test_the_check_finds_what_the_sums_cannot(cast: Cast, wrong: object) -> None:
    a_semester(cast)
    wrong()  # type: ignore[operator]
    assert check_codes(cast.course)
    assert check_codes(cast.other_course) == []
    with pytest.raises(CommandError):
        call_command("check_codes")
    kept = latest_check()
    assert kept is not None
    assert kept.differences


def test_the_check_runs_once_a_day_and_its_result_is_kept(cast: Cast) -> None:
    a_semester(cast)
    assert daily(NOW)
    assert not daily(NOW + timedelta(hours=1))
    assert daily(NOW + EVERY)
    kept = latest_check()
    assert kept is not None
    assert (kept.at, kept.codes, kept.differences) == (NOW + EVERY, 8, [])


def test_old_results_go(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("credits.checks.KEPT", 2)
    for hour in range(4):
        check_and_keep(NOW + timedelta(hours=hour))
    assert list(CodesCheck.objects.values_list("at", flat=True)) == [NOW + timedelta(hours=hour) for hour in (3, 2)]


# ------------------------------------------------------------------ what is about to be lost


def dated(course: Course, days: int, **more: object) -> CodeBatch:
    return make_batch(course, 2, redeem_by=TODAY + timedelta(days=days), **more)


@pytest.mark.parametrize(("days", "seen"), [(-1, False), (0, True), (14, True), (15, False)])
def test_a_claimed_code_is_about_to_be_lost_within_14_days(cast: Cast, days: int, seen: bool) -> None:
    batch = dated(cast.course, days)
    award_at = NOW - timedelta(days=2)
    award(batch, cast.student, key="x", why="x", who=None, now=award_at)
    found = expiring(cast.course, TODAY)
    assert [(line.loss, line.days, line.whose) for line in found] == [("redeem", days, "Ada Student")] * seen


def test_credit_that_was_redeemed_is_lost_when_it_ends(cast: Cast) -> None:
    batch = make_batch(cast.course, expires_on=TODAY + timedelta(days=3))
    code = claim(cast.student, batch, who=cast.student.user, address=None, now=NOW)
    assert expiring(cast.course, TODAY) == []
    report_redeemed(code, who=cast.student.user, address=None, now=NOW)
    assert [(line.loss, line.days) for line in expiring(cast.course, TODAY, days=3)] == [("use", 3)]


def test_the_instructor_hears_early_of_what_nobody_has(cast: Cast) -> None:
    dated(cast.course, 28)
    dated(cast.course, 29, first=10)
    (line,) = unclaimed(cast.course, TODAY)
    assert (line.number, line.usd, line.days) == (2, 200, 28)
    remind(NOW)
    remind(NOW + timedelta(days=1))
    letters = list(Letter.objects.order_by("pk"))
    assert {letter.to for letter in letters} == {cast.instructor.email}
    assert "$200.00" in letters[0].body
    assert len(letters) == 2  # the second batch is within 28 days a day later


def test_a_holder_is_reminded_twice_and_not_once_it_worked(cast: Cast) -> None:
    batch = dated(cast.course, 14)
    code = claim(cast.student, batch, who=cast.student.user, address=None, now=NOW)
    mine = Letter.objects.filter(to=cast.student.email)
    for days in range(12):
        remind(NOW + timedelta(days=days))
    assert mine.count() == 2
    report_redeemed(code, who=cast.student.user, address=None, now=NOW)
    Letter.objects.all().delete()
    remind(NOW + timedelta(days=13))
    assert mine.count() == 0


def test_all_of_a_team_are_reminded_of_its_code(cast: Cast) -> None:
    batch = dated(cast.course, 3)
    award(batch, cast.team, key="x", why="x", who=None, now=NOW)
    remind(NOW)
    people = {letter.to for letter in Letter.objects.all()} - {cast.instructor.email}
    assert people == {cast.student.email, cast.other_student.email}


# ------------------------------------------------------------------ to take away


def test_the_table_has_every_code_with_its_holder_and_no_code(cast: Cast) -> None:
    a_semester(cast)
    text = codes_csv(cast.course)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 8
    assert {row["status"] for row in rows} == {"available", "claimed", "redeemed", "quarantined", "revoked", "course"}
    assert next(row for row in rows if row["email"] == cast.student.email)["code_ends_in"] == "0000"
    assert not any(code_text(number) in text for number in range(8))


def test_no_cell_is_a_formula_and_amounts_are_numbers(cast: Cast) -> None:
    a_semester(cast)
    cast.student.name = "=cmd|'/c calc'!A0\x0b"
    cast.student.save()
    sheet = load_workbook(io.BytesIO(codes_xlsx(cast.course))).active
    heading, *rows = sheet.iter_rows()
    columns = [cell.value for cell in heading]
    for row in rows:
        assert all(cell.data_type != "f" for cell in row)
        assert row[columns.index("batch")].value == "'=HYPERLINK(1)"
        assert row[columns.index("value_usd")].value == 100
    assert "'=HYPERLINK(1)" in codes_csv(cast.course)


def test_dates_are_dates_in_the_table(cast: Cast) -> None:
    make_batch(cast.course, 1, redeem_by=date(2019, 5, 1))
    assert next(csv.DictReader(io.StringIO(codes_csv(cast.course))))["redeem_by"] == "2019-05-01"
