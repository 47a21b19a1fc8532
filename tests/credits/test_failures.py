"""A code that AWS does not take: put aside, replaced once by itself, from then on by a person who sees everything."""

from decimal import Decimal

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses.models import Enrollment
from credits import letters
from credits.awards import award
from credits.failures import Reported, ReportRefused, report_failed
from credits.models import CodeBatch, CodeEvent, CreditCode, FailedReport, Letter, Purpose
from credits.report_queries import open_reports, reports_of, story_of, waiting_reports
from credits.resolving import ResolveRefused, resolve
from credits.screening import screened
from credits.services import claim, report_redeemed, reveal
from credits.stock import add_codes
from tests.conftest import Cast
from tests.credits.conftest import NOW, code_text, make_batch

Status = FailedReport.Status


def claimed(line: Enrollment, batch: CodeBatch) -> CreditCode:
    return claim(line, batch, who=line.user, address="192.0.2.1", now=NOW)


def failed(code: CreditCode, line: Enrollment, cause: str = "used", message: str = "already redeemed") -> Reported:
    return report_failed(code, cause=cause, message=message, who=line.user, address="192.0.2.1", now=NOW)


def in_hand(line: Enrollment) -> list[CreditCode]:
    return list(CreditCode.objects.filter(holder=line, status="claimed"))


# ------------------------------------------------------------------ what the portal does by itself


@pytest.mark.parametrize("cause", ["used", "unknown"])
def test_the_first_bad_code_is_put_aside_and_replaced_at_once(cast: Cast, batch: CodeBatch, cause: str) -> None:
    code = claimed(cast.student, batch)
    found = failed(code, cast.student, cause)
    assert code.status == "quarantined"
    assert found.report.status == Status.REPLACED
    assert found.replacement is not None
    assert in_hand(cast.student) == [found.replacement]
    assert found.replacement.batch == batch
    verbs = list(story_of(code).values_list("verb", flat=True))
    assert verbs == ["imported", "claimed", "failed", "quarantined"]


def test_never_twice_without_a_person(cast: Cast, batch: CodeBatch) -> None:
    first = failed(claimed(cast.student, batch), cast.student)
    assert first.replacement is not None
    second = failed(first.replacement, cast.student)
    assert (second.replacement, second.report.status) == (None, Status.OPEN)
    assert in_hand(cast.student) == []
    assert [line.report for line in open_reports(cast.course)] == [second.report]


def test_not_of_another_batch_either(cast: Cast, batch: CodeBatch) -> None:
    project = make_batch(cast.course, first=50)
    failed(claimed(cast.student, batch), cast.student)
    assert failed(claimed(cast.student, project), cast.student).replacement is None


def test_a_batch_may_say_that_a_person_decides(cast: Cast) -> None:
    careful = make_batch(cast.course, replace_at_once=False)
    found = failed(claimed(cast.student, careful), cast.student)
    assert (found.replacement, found.report.status) == (None, Status.OPEN)


def test_said_twice_it_is_one_report_and_one_replacement(cast: Cast, batch: CodeBatch) -> None:
    code = claimed(cast.student, batch)
    once, again = failed(code, cast.student), failed(code, cast.student)
    assert again.report == once.report
    assert again.replacement == once.replacement
    assert len(in_hand(cast.student)) == 1


def test_an_empty_batch_is_helped_by_the_reserve_of_the_same_value(cast: Cast) -> None:
    last = make_batch(cast.course, 1)
    make_batch(cast.course, 1, first=10, purpose=Purpose.RESERVE, value_usd=Decimal(500))
    same = make_batch(cast.course, 1, first=20, purpose=Purpose.RESERVE)
    found = failed(claimed(cast.student, last), cast.student)
    assert found.replacement is not None
    assert found.replacement.batch == same


def test_without_another_code_of_that_value_it_waits_for_a_person(cast: Cast) -> None:
    last = make_batch(cast.course, 1)
    make_batch(cast.course, 1, first=10, purpose=Purpose.RESERVE, value_usd=Decimal(500))
    found = failed(claimed(cast.student, last), cast.student)
    assert (found.replacement, found.report.status) == (None, Status.OPEN)


@pytest.mark.parametrize("cause", ["mistyped", "account-not-ready"])
def test_what_the_student_can_put_right_costs_no_code_and_nobodys_time(
    cast: Cast, batch: CodeBatch, cause: str
) -> None:
    code = claimed(cast.student, batch)
    found = failed(code, cast.student, cause)
    assert (found.report.status, code.status) == (Status.ANSWERED, "claimed")
    assert found.cause.answer
    assert waiting_reports(cast.course) == 0


def test_an_answer_that_did_not_help_goes_to_a_person(cast: Cast, batch: CodeBatch) -> None:
    code = claimed(cast.student, batch)
    failed(code, cast.student, "mistyped")
    assert failed(code, cast.student, "no-permission").report.status == Status.OPEN
    assert code.status == "claimed"


def test_a_code_that_was_called_redeemed_is_not_replaced_by_itself(cast: Cast, batch: CodeBatch) -> None:
    code = claimed(cast.student, batch)
    report_redeemed(code, who=cast.student.user, address=None, now=NOW)
    found = failed(code, cast.student)
    assert (found.replacement, found.report.status, code.status) == (None, Status.OPEN, "redeemed")


def test_only_its_holder_reports_a_code(cast: Cast, batch: CodeBatch) -> None:
    code = claimed(cast.student, batch)
    for other in (cast.other_student, cast.instructor, cast.foreign_instructor):
        with pytest.raises(ReportRefused):
            failed(code, other)
    with pytest.raises(ReportRefused):
        failed(code, cast.student, "no-such-cause")
    assert code.reports.count() == 0


def test_a_teams_code_is_replaced_for_the_whole_team_once(cast: Cast) -> None:
    batch = make_batch(cast.course, 4, purpose=Purpose.TEAMS)
    code = claim(cast.student, batch, who=cast.student.user, address=None, now=NOW)
    found = failed(code, cast.other_student)
    assert found.replacement is not None
    assert found.replacement.team == cast.team
    assert reveal(found.replacement, who=cast.student.user, why="", address=None, now=NOW)
    assert failed(found.replacement, cast.student).replacement is None


# ------------------------------------------------------------------ what is stored


@pytest.mark.parametrize(
    "pasted",
    [
        "AWS says {code} is already redeemed",
        "already redeemed : {code}.",
        "my code: '{lower}'",
        "{spaced} does not work",
        "{dashed}",
        "{other} is what my friend has",
        "{typo}",
    ],
)
def test_a_pasted_code_is_never_stored(cast: Cast, batch: CodeBatch, pasted: str) -> None:
    code = claimed(cast.student, batch)
    text, other = code_text(0), code_text(2)
    spaced, dashed = " ".join(text), "-".join((text[:5], text[5:10], text[10:]))
    words = {"code": text, "lower": text.lower(), "spaced": spaced, "dashed": dashed, "other": other, "typo": text[:-1]}
    said = failed(code, cast.student, "other", pasted.format(**words)).report.message
    assert not any(word.lower() in said.lower() for word in words.values())
    assert "PCTEST" not in said.upper().replace(" ", "").replace("-", "")
    assert "…" in said


def test_a_code_far_down_in_a_whole_pasted_page_is_found(cast: Cast, batch: CodeBatch) -> None:
    digits = "7001700270037004"  # of no shape that would give it away
    add_codes(batch, [(1, digits)], who=None, now=NOW)
    page = " ".join(f"w{number}" for number in range(1000, 1630)) + f" {digits} end"
    assert screened(page).endswith("w1629 …7004 end")


def test_numbers_that_help_are_kept(cast: Cast, batch: CodeBatch) -> None:
    message = "The account 123456789012 exceeds the limit of 1 (arn:aws:iam::123456789012:user/ada)"
    assert failed(claimed(cast.student, batch), cast.student, "other", message).report.message == message


# ------------------------------------------------------------------ what staff decide


@pytest.fixture
def waiting(cast: Cast, batch: CodeBatch) -> FailedReport:
    code = claimed(cast.student, batch)
    reveal(code, who=cast.student.user, why="", address=None, now=NOW)
    reveal(code, who=cast.ta.user, why="to help", address=None, now=NOW)
    return failed(code, cast.student, "one-per-account").report


def test_the_queue_shows_all_that_a_decision_needs(cast: Cast, batch: CodeBatch, waiting: FailedReport) -> None:
    (line,) = open_reports(cast.course)
    assert line.report.code.last4 == "0000"
    assert line.report.enrollment.team == cast.team
    assert line.cause.startswith("The account has a code")
    assert (line.reveals, line.revealed_by_others, line.reports_of_code, line.reports_of_person) == (2, 1, 1, 1)
    assert (line.first_revealed_at, line.last_revealed_at, line.replaced_before) == (NOW, NOW, 0)
    assert list(line.sources) == [batch]
    assert open_reports(cast.other_course) == []


def test_a_long_queue_costs_no_more_queries_than_a_short_one(cast: Cast, waiting: FailedReport) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            open_reports(cast.course)
        return len(seen)

    one = queries()
    for number in range(5):
        more = make_batch(cast.course, 1, first=100 + number)
        failed(claimed(cast.other_student, more), cast.other_student, "other")
    assert len(open_reports(cast.course)) == 6
    assert queries() == one


def test_staff_replace_a_second_time_and_the_student_hears_of_it(cast: Cast, waiting: FailedReport) -> None:
    done = resolve(waiting, "replace", why="Sorry!", who=cast.ta.user, now=NOW)
    assert (done.status, done.decision, done.decided_by) == (Status.REPLACED, "replace", cast.ta.user)
    assert in_hand(cast.student) == [done.replacement]
    assert open_reports(cast.course) == []
    assert reports_of(cast.student).get() == done
    letters.send_due(NOW)
    assert [m.to for m in mail.outbox] == [[cast.student.email]]
    assert "Sorry!" in mail.outbox[0].body


def test_staff_may_take_the_replacement_from_any_batch_of_the_course(cast: Cast, waiting: FailedReport) -> None:
    other = make_batch(cast.course, 1, first=50, promotion="ANOTHER")
    done = resolve(waiting, "replace", batch=other, why="", who=cast.ta.user, now=NOW)
    assert done.replacement is not None
    assert done.replacement.batch == other


def test_an_answer_closes_it_and_is_written_to_the_student(cast: Cast, waiting: FailedReport) -> None:
    done = resolve(waiting, "answer", why="Use Ben's account.", who=cast.ta.user, now=NOW)
    assert (done.status, done.code.status, done.replacement) == (Status.CLOSED, "claimed", None)
    assert "Use Ben's account." in Letter.objects.get().body


def test_a_decision_is_made_once_by_staff_of_the_course_with_a_reason(cast: Cast, waiting: FailedReport) -> None:
    for who in (cast.foreign_instructor.user, cast.student.user):
        with pytest.raises(ResolveRefused):
            resolve(waiting, "replace", why="x", who=who, now=NOW)
    with pytest.raises(ResolveRefused):
        resolve(waiting, "answer", why=" ", who=cast.ta.user, now=NOW)
    resolve(waiting, "close", why="Solved in class.", who=cast.ta.user, now=NOW)
    with pytest.raises(ResolveRefused):
        resolve(waiting, "replace", why="x", who=cast.instructor.user, now=NOW)
    assert CodeEvent.objects.filter(verb="awarded").count() == 0


def test_with_no_code_left_nothing_happens(cast: Cast, waiting: FailedReport, batch: CodeBatch) -> None:
    for number, line in enumerate((cast.other_student, cast.ta)):
        award(batch, line, key=f"gift/{number}", why="x", who=None, now=NOW)
    with pytest.raises(ResolveRefused):
        resolve(waiting, "replace", why="", who=cast.ta.user, now=NOW)
    waiting.code.refresh_from_db()
    assert (waiting.code.status, waiting_reports(cast.course)) == ("claimed", 1)
