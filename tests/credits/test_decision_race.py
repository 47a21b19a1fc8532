"""Two tabs, two teammates, two TAs, two workers at the same instant: one replacement, one answer, one call to AWS."""

from collections import Counter
from decimal import Decimal
from functools import partial

import pytest

from cloud.fake_billing import FakeBilling, Promotion
from courses.models import Enrollment
from credits import failures
from credits.awards import award
from credits.checks import check_codes
from credits.contests import award_places, create_contest, enter
from credits.course_account import ask as ask_for_account
from credits.course_account import perform
from credits.failures import report_failed
from credits.models import CodeBatch, Contest, ContestPlace, CourseRedemption, CreditCode, FailedReport, Purpose
from credits.ranking import Ranked
from credits.requests import ask
from credits.resolving import resolve
from credits.services import claim
from credits.stock import add_codes
from portal.requests import Answer, decide_request
from spend.opening import open_budgets
from spend.services import budget_of
from tests.conftest import Cast
from tests.credits.conftest import NOW, code_text, enroll_students, make_batch
from tests.race import race

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def fail(code_id: int, line_id: int, cause: str = "used") -> int | None:
    code = CreditCode.objects.select_related("batch__course", "holder", "team").get(pk=code_id)
    line = Enrollment.objects.select_related("user").get(pk=line_id)
    found = report_failed(code, cause=cause, message="", who=line.user, address=None, now=NOW)
    return found.replacement.pk if found.replacement else None


def claimed(line: Enrollment, batch: CodeBatch) -> CreditCode:
    return claim(line, batch, who=line.user, address=None, now=NOW)


def in_hand() -> int:
    return CreditCode.objects.filter(status="claimed").count()


def test_eight_tabs_get_one_replacement(cast: Cast) -> None:
    batch = make_batch(cast.course, 10)
    code = claimed(cast.student, batch)
    outcomes = race([partial(fail, code.pk, cast.student.pk)] * 8)
    assert [outcome.error for outcome in outcomes] == [None] * 8
    assert len({outcome.value for outcome in outcomes}) == 1
    assert (in_hand(), FailedReport.objects.count(), check_codes()) == (1, 1, [])


def test_two_teammates_get_one_replacement(cast: Cast) -> None:
    batch = make_batch(cast.course, 10, purpose=Purpose.TEAMS)
    code = claimed(cast.student, batch)
    both = [partial(fail, code.pk, line.pk) for line in (cast.student, cast.other_student)]
    outcomes = race(both * 3)
    assert [outcome.error for outcome in outcomes] == [None] * 6
    assert (in_hand(), check_codes()) == (1, [])


def two_bad_codes(cast: Cast) -> Counter[str]:
    batches = [make_batch(cast.course, 5, first=10 * number) for number in range(2)]
    codes = [claimed(cast.student, batch) for batch in batches]
    outcomes = race([partial(fail, code.pk, cast.student.pk) for code in codes])
    assert all(outcome.ok for outcome in outcomes)
    return Counter(FailedReport.objects.values_list("status", flat=True))


def test_two_bad_codes_of_one_person_at_once_are_one_replacement_and_one_for_staff(cast: Cast) -> None:
    for _round in range(3):
        assert two_bad_codes(cast) == {"replaced": 1, "open": 1}
        _forget()


def test_control_without_the_lock_both_would_be_replaced(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: it fails when the test above could not see a missing guard."""
    monkeypatch.setattr(failures, "lock_for_replacement", lambda *_args: None)
    counts = Counter[str]()
    for _round in range(10):
        counts += two_bad_codes(cast)
        _forget()
        if counts["replaced"] > counts["open"]:
            return
    pytest.fail(f"never both at once: {counts}")


def _forget() -> None:
    """The next round begins anew, with other codes of the same numbers."""
    FailedReport.objects.all().delete()
    CreditCode.objects.all().update(status="revoked")
    for code in CreditCode.objects.all():
        CreditCode.objects.filter(pk=code.pk).update(digest=f"old-{code.pk}")


def test_reports_claims_awards_and_imports_at_once_neither_wait_for_ever_nor_double(cast: Cast) -> None:
    batch = make_batch(cast.course, 60)
    reserve = make_batch(cast.course, 20, first=100, purpose=Purpose.RESERVE)
    lines = list(Enrollment.objects.filter(pk__in=enroll_students(cast.course, 16)).select_related("user"))
    codes = [claimed(line, batch) for line in lines[:8]]

    def claim_one(line: Enrollment) -> int:
        return claimed(line, batch).pk

    def give(line: Enrollment) -> int:
        return award(reserve, line, key="gift", why="x", who=None, now=NOW).pk

    def bring(first: int) -> None:
        add_codes(reserve, ((n, code_text(first + n)) for n in range(20)), who=None, now=NOW)

    outcomes = race(
        [
            *(partial(fail, code.pk, line.pk) for code, line in zip(codes, lines, strict=False)),
            *(partial(claim_one, line) for line in lines[8:]),
            *(partial(give, line) for line in lines[4:8]),
            partial(bring, 1000),
            partial(bring, 1010),
        ]
    )
    assert [outcome.error for outcome in outcomes] == [None] * 22
    assert CreditCode.objects.filter(status="quarantined").count() == 8
    assert in_hand() == 8 + 8 + 4
    assert FailedReport.objects.filter(status="replaced").count() == 8
    assert check_codes() == []


def test_two_tas_decide_once(cast: Cast) -> None:
    batch = make_batch(cast.course, 10, replace_at_once=False)
    code = claimed(cast.student, batch)
    fail(code.pk, cast.student.pk)
    report = FailedReport.objects.get()
    outcomes = race([lambda: resolve(report, "replace", why="", who=cast.ta.user, now=NOW).pk] * 4)
    assert sum(outcome.ok for outcome in outcomes) == 1
    assert (in_hand(), check_codes()) == (1, [])


def test_a_request_is_paid_once(cast: Cast) -> None:
    money = {"course_usd": Decimal(1000), "team_usd": Decimal(500), "person_usd": Decimal(100)}
    open_budgets(cast.course, **money, why="start", who=None, now=NOW)
    request = ask(cast.student, amount_usd=Decimal(10), reason="x", for_team=False, who=cast.student.user, now=NOW)
    make_batch(cast.course, 5, purpose=Purpose.RESERVE, value_usd=Decimal(10))

    def decide(serve: str) -> str:
        decide_request(request, Answer.APPROVE, serve=serve, why="", who=cast.ta.user, now=NOW)
        return serve

    outcomes = race([partial(decide, serve) for serve in ("budget", "code")] * 3)
    (won,) = (outcome.value for outcome in outcomes if outcome.ok)
    raised = budget_of(cast.student).amount_usd - 100
    assert (raised, in_hand()) == ((10, 0) if won == "budget" else (0, 1))


def test_prizes_are_given_once_and_two_contests_do_not_wait_for_each_other(cast: Cast) -> None:
    lines = list(Enrollment.objects.filter(pk__in=enroll_students(cast.course, 4)))
    work = []
    for number in range(2):
        pool = make_batch(cast.course, 4, first=10 * number, purpose=Purpose.PRIZE)
        contest = create_contest(cast.course, name=f"HW{number}", places=4, pool=pool, who=cast.ta.user, now=NOW)
        order = lines if number else lines[::-1]  # the same winners, the other way round
        behind = {f"n{rank}": f"person:{line.pk}" for rank, line in enumerate(order, start=1)}
        places = enter(contest, [Ranked(rank, f"n{rank}") for rank in range(1, 5)], behind, who=cast.ta.user, now=NOW)
        work.append(partial(_award, contest, places, cast))
    outcomes = race(work * 3)
    assert [
        outcome.error for outcome in outcomes if not outcome.ok and "codes are free" not in str(outcome.error)
    ] == []
    assert in_hand() == 8
    assert check_codes() == []


def _award(contest: Contest, places: list[ContestPlace], cast: Cast) -> int:
    return sum(one.is_new for one in award_places(contest, places, who=cast.ta.user, now=NOW))


def test_two_workers_ask_aws_once(cast: Cast) -> None:
    batch = make_batch(cast.course, 1)
    (asked,) = ask_for_account(list(batch.codes.all()), why="x", who=cast.instructor.user, now=NOW)

    def work() -> int:
        account = FakeBilling(clock=lambda: NOW, known={code_text(0): Promotion(Decimal(100))})
        perform(CourseRedemption.objects.get(pk=asked.pk), account=account, now=NOW)
        return account.faults.count("redeem")

    outcomes = race([work] * 8)
    assert [outcome.error for outcome in outcomes] == [None] * 8
    assert sum(outcome.value for outcome in outcomes) == 1
