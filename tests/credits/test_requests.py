"""Asking for more: answered once, by staff, as a code or a larger budget, with a letter; the queue shows the money."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses.models import Enrollment
from credits.models import CreditCode, CreditRequest, Letter, Purpose, RequestDecision
from credits.requests import RequestRefused, ask, requests_of, withdraw
from portal.requests import Answer, decide_all, decide_request, queue
from spend.models import Budget, Level, MoneyMove
from spend.opening import open_budgets
from spend.services import budget_of, hold
from tests.conftest import Cast
from tests.credits.conftest import NOW, make_batch

BUDGET = RequestDecision.Serve.BUDGET


@pytest.fixture(autouse=True)
def budgets(cast: Cast) -> None:
    money = {"course_usd": Decimal(1000), "team_usd": Decimal(500), "person_usd": Decimal(100)}
    open_budgets(cast.course, **money, why="start", who=None, now=NOW)


def asked(
    line: Enrollment, usd: str = "100", *, for_team: bool = False, reason: str = "A larger model"
) -> CreditRequest:
    return ask(line, amount_usd=Decimal(usd), reason=reason, for_team=for_team, who=line.user, now=NOW)


def test_one_open_request_for_oneself_and_one_for_the_team(cast: Cast) -> None:
    asked(cast.student)
    asked(cast.student, for_team=True)
    for line, for_team in ((cast.student, False), (cast.student, True), (cast.other_student, True)):
        with pytest.raises(RequestRefused):
            asked(line, for_team=for_team)
    assert requests_of(cast.student).count() == 2
    assert [one.team for one in requests_of(cast.other_student)] == [cast.team]


@pytest.mark.parametrize("usd", ["0", "-5", "10.001", "1000000"])
def test_an_amount_that_is_none_is_refused(cast: Cast, usd: str) -> None:
    with pytest.raises(RequestRefused):
        asked(cast.student, usd)


def test_nobody_asks_for_others_without_a_reason_or_without_a_team(cast: Cast) -> None:
    with pytest.raises(RequestRefused):
        ask(cast.student, amount_usd=Decimal(5), reason="x", for_team=False, who=cast.other_student.user, now=NOW)
    with pytest.raises(RequestRefused):
        asked(cast.student, reason=" ")
    with pytest.raises(RequestRefused):
        asked(cast.ta, for_team=True)


def test_a_code_in_the_reason_is_not_kept(cast: Cast) -> None:
    make_batch(cast.course)
    assert "PCTEST" not in asked(cast.student, reason="mine (PCTESTCODE00001) is broken").reason


def test_a_withdrawn_request_is_over_and_makes_room(cast: Cast) -> None:
    request = asked(cast.student)
    with pytest.raises(RequestRefused):
        withdraw(request, who=cast.ta.user, now=NOW)
    withdraw(request, who=cast.student.user, now=NOW)
    assert (request.status, request.decision.verb) == ("withdrawn", "withdrawn")
    with pytest.raises(RequestRefused):
        decide_request(request, Answer.APPROVE, serve=BUDGET, why="", who=cast.ta.user, now=NOW)
    assert asked(cast.student).status == "asked"
    assert Letter.objects.count() == 0


# ------------------------------------------------------------------ answers


def test_approved_in_part_as_a_larger_budget(cast: Cast) -> None:
    request = asked(cast.student)
    decided = decide_request(
        request, Answer.APPROVE, serve=BUDGET, amount_usd=Decimal(40), why="Start with this", who=cast.ta.user, now=NOW
    )
    assert budget_of(cast.student).amount_usd == 140
    assert decided.decision is not None
    assert (decided.decision.amount_usd, decided.decision.who) == (40, cast.ta.user)
    assert MoneyMove.objects.filter(who=cast.ta.user, amount_usd=40).count() == 1
    letter = Letter.objects.get()
    assert (letter.to, "$40.00" in letter.subject, "Start with this" in letter.body) == (cast.student.email, True, True)


def test_a_teams_request_raises_the_teams_budget_and_tells_everybody(cast: Cast) -> None:
    request = asked(cast.student, for_team=True)
    decide_request(request, Answer.APPROVE, serve=BUDGET, why="", who=cast.ta.user, now=NOW)
    assert Budget.objects.get(team=cast.team).amount_usd == 600
    assert budget_of(cast.student).amount_usd == 100
    assert {letter.to for letter in Letter.objects.all()} == {cast.student.email, cast.other_student.email}


def test_a_raise_that_a_budget_above_cannot_carry_is_said(cast: Cast) -> None:
    hold(budget_of(cast.other_student), key="x", amount_usd=Decimal(90), why="x", who=None, now=NOW)
    decided = decide_request(
        asked(cast.student, "450"), Answer.APPROVE, serve=BUDGET, why="", who=cast.ta.user, now=NOW
    )
    assert decided.raised is not None
    assert decided.raised.tighter is not None
    assert (decided.raised.tighter.level, decided.raised.tighter.left_usd) == (Level.TEAM, 410)
    small = decide_request(asked(cast.ta, "5"), Answer.APPROVE, serve=BUDGET, why="", who=cast.ta.user, now=NOW)
    assert small.raised is not None
    assert small.raised.tighter is None


def test_approved_as_a_code_of_the_reserve(cast: Cast) -> None:
    make_batch(cast.course, 1, purpose=Purpose.RESERVE, value_usd=Decimal(500))
    reserve = make_batch(cast.course, 1, first=10, purpose=Purpose.RESERVE)
    decided = decide_request(asked(cast.student), Answer.APPROVE, why="", who=cast.ta.user, now=NOW)
    code = CreditCode.objects.get(holder=cast.student)
    assert decided.decision is not None
    assert (decided.decision.code, code.batch, code.status) == (code, reserve, "claimed")
    assert "AWARDED" in {event.verb.upper() for event in code.events.all()}


def test_a_code_cannot_be_divided(cast: Cast) -> None:
    make_batch(cast.course, 1, purpose=Purpose.RESERVE, value_usd=Decimal(500))
    request = asked(cast.student)
    with pytest.raises(RequestRefused, match="500"):
        decide_request(request, Answer.APPROVE, why="", who=cast.ta.user, now=NOW)
    request.refresh_from_db()
    assert request.status == "asked"


def test_a_denial_needs_a_reason_and_moves_no_money(cast: Cast) -> None:
    request = asked(cast.student)
    with pytest.raises(RequestRefused):
        decide_request(request, Answer.DENY, why=" ", who=cast.ta.user, now=NOW)
    decide_request(request, Answer.DENY, why="Use a smaller model first", who=cast.ta.user, now=NOW)
    assert "smaller model" in Letter.objects.get().body
    assert budget_of(cast.student).amount_usd == 100


def test_a_request_is_answered_once_and_by_its_own_staff(cast: Cast) -> None:
    request = asked(cast.student)
    for who in (cast.student, cast.foreign_instructor):
        with pytest.raises(RequestRefused):
            decide_request(request, Answer.APPROVE, serve=BUDGET, why="", who=who.user, now=NOW)
    decide_request(request, Answer.APPROVE, serve=BUDGET, why="", who=cast.ta.user, now=NOW)
    with pytest.raises(RequestRefused):
        decide_request(request, Answer.APPROVE, serve=BUDGET, why="", who=cast.instructor.user, now=NOW)
    assert budget_of(cast.student).amount_usd == 200


def test_without_a_budget_to_raise_nothing_is_decided(cast: Cast) -> None:
    request = asked(cast.student)
    MoneyMove.objects.filter(budget__enrollment=cast.student).delete()
    Budget.objects.filter(enrollment=cast.student).delete()
    (outcome,) = decide_all([request], Answer.APPROVE, serve=BUDGET, why="", who=cast.ta.user, now=NOW)
    request.refresh_from_db()
    assert (outcome.decision, request.status, Letter.objects.count()) == (None, "asked", 0)
    assert outcome.refused


def test_in_bulk_one_that_is_refused_keeps_nobody_waiting(cast: Cast) -> None:
    make_batch(cast.course, 1, purpose=Purpose.RESERVE)
    requests = [asked(cast.student), asked(cast.other_student)]
    outcomes = decide_all(requests, Answer.APPROVE, why="", who=cast.ta.user, now=NOW)
    assert [bool(outcome.decision) for outcome in outcomes] == [True, False]
    assert outcomes[1].refused
    (denied,) = decide_all(requests[1:], Answer.DENY, why="None left", who=cast.ta.user, now=NOW)
    assert denied.decision is not None


# ------------------------------------------------------------------ the queue


def test_the_queue_shows_each_persons_money_and_what_they_got_before(cast: Cast) -> None:
    decide_request(asked(cast.student, "20"), Answer.APPROVE, serve=BUDGET, why="", who=cast.ta.user, now=NOW)
    hold(budget_of(cast.student), key="x", amount_usd=Decimal(30), why="x", who=None, now=NOW)
    request = ask(
        cast.student,
        amount_usd=Decimal(75),
        reason="more",
        for_team=False,
        who=cast.student.user,
        now=NOW + timedelta(days=1),
    )
    found = queue(cast.course, NOW)
    (line,) = found.asked
    assert line.request == request
    assert (line.spent_usd, line.held_usd, line.left_usd, line.team_left_usd) == (0, 30, 90, 470)
    assert (line.approved_before, line.approved_before_usd) == (1, 20)
    assert (found.total_usd, found.course.left_usd) == (75, 970)
    assert queue(cast.other_course, NOW).asked == []


def test_a_long_queue_costs_no_more_queries_than_a_short_one(cast: Cast) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            queue(cast.course, NOW)
        return len(seen)

    asked(cast.student)
    one = queries()
    for line in (cast.other_student, cast.ta, cast.instructor):
        asked(line)
    asked(cast.other_student, for_team=True)
    assert len(queue(cast.course, NOW).asked) == 5
    assert queries() == one
