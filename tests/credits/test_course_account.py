"""Codes into the course's own account: asked once whatever dies when, settled by looking, counted once as budget."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from cloud.base import AccountBlocked, CloudError, Transient
from cloud.fake_billing import FakeBilling, Promotion
from credits import course_account
from credits.checks import check_codes
from credits.course_account import RedemptionRefused, ask, give_up, perform, settle_all
from credits.models import CodeBatch, CourseRedemption, CreditCode
from credits.settling import look_again
from portal.course_account import account_view, add_to_budget
from spend.models import Budget, Level
from spend.opening import open_budgets
from tests.conftest import Cast
from tests.credits.conftest import NOW, code_text, make_batch

State = CourseRedemption.State
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def account() -> FakeBilling:
    known = {code_text(number): Promotion(Decimal(100)) for number in range(3)}
    return FakeBilling(clock=lambda: NOW, known=known)


@pytest.fixture
def asked(cast: Cast, batch: CodeBatch) -> CourseRedemption:
    return asked_for(cast, batch.codes.all()[0])


def asked_for(cast: Cast, code: CreditCode) -> CourseRedemption:
    return ask([code], why="for the project", who=cast.instructor.user, now=NOW)[0]


def code_of(redemption: CourseRedemption) -> CreditCode:
    return CreditCode.objects.get(pk=redemption.code_id)


def test_a_code_leaves_the_stock_before_aws_is_asked(cast: Cast, asked: CourseRedemption, batch: CodeBatch) -> None:
    assert (asked.state, code_of(asked).status) == (State.ASKED, "course")
    with pytest.raises(RedemptionRefused):
        asked_for(cast, code_of(asked))
    assert batch.codes.filter(status="available").count() == 2


def test_only_instructors_and_only_with_a_reason(cast: Cast, batch: CodeBatch) -> None:
    code = batch.codes.all()[0]
    for who in (cast.ta, cast.student, cast.foreign_instructor):
        with pytest.raises(RedemptionRefused):
            ask([code], why="x", who=who.user, now=NOW)
    with pytest.raises(RedemptionRefused):
        ask([code], why=" ", who=cast.instructor.user, now=NOW)


def test_the_credit_is_found_by_what_is_new_on_the_account(asked: CourseRedemption, account: FakeBilling) -> None:
    old = account.grant(Decimal(100))
    assert perform(asked, account=account, now=NOW) is State.CONFIRMED
    assert asked.credit_id not in (None, old.credit_id)
    assert (asked.amount_usd, code_of(asked).status) == (100, "course")
    assert check_codes() == []


def test_said_again_aws_is_not_asked_again(asked: CourseRedemption, account: FakeBilling) -> None:
    for _attempt in range(3):
        assert perform(asked, account=account, now=NOW) is State.CONFIRMED
    assert account.faults.count("redeem") == 1


@pytest.mark.parametrize(
    ("promotion", "status"),
    [
        (Promotion(Decimal(100), expired=True), "quarantined"),
        (Promotion(Decimal(100), name="once", limit=0), "available"),  # the code is good for another account
    ],
)
def test_a_refused_code_is_put_where_it_belongs(
    asked: CourseRedemption, account: FakeBilling, promotion: Promotion, status: str
) -> None:
    account.known[code_text(0)] = promotion
    assert perform(asked, account=account, now=NOW) is State.FAILED
    assert code_of(asked).status == status
    assert asked.said
    assert code_text(0) not in asked.said
    assert check_codes() == []


def test_a_code_that_somebody_else_used_is_put_aside(asked: CourseRedemption, account: FakeBilling) -> None:
    account.redeem(code_text(0))  # long ago, so that its credit is on the account already
    assert perform(asked, account=account, now=NOW) is State.FAILED
    assert code_of(asked).status == "quarantined"


def test_without_the_right_to_do_it_the_code_stays_in_the_stock(asked: CourseRedemption, account: FakeBilling) -> None:
    account.faults.break_before("redeem", AccountBlocked("AccessDenied"))
    assert perform(asked, account=account, now=NOW) is State.FAILED
    assert code_of(asked).status == "available"


def test_if_the_account_cannot_be_looked_at_before_aws_is_not_asked(
    asked: CourseRedemption, account: FakeBilling
) -> None:
    account.faults.break_before("credits", Transient("throttled"))
    assert perform(asked, account=account, now=NOW) is State.ASKED
    assert account.faults.count("redeem") == 0
    assert settle_all(account=account, now=NOW) == 1


# ------------------------------------------------------------------ lost answers and deaths


def test_a_lost_answer_is_settled_by_looking(asked: CourseRedemption, account: FakeBilling) -> None:
    account.faults.break_after("redeem", Transient("connection closed"))
    assert perform(asked, account=account, now=NOW) is State.CONFIRMED
    assert account.faults.count("redeem") == 1


class Killed(BaseException):
    """The process is gone."""


def _die_before(account: FakeBilling) -> None:
    account.faults.break_before("redeem", Killed())


def _die_after(account: FakeBilling) -> None:
    account.faults.break_after("redeem", Killed())


@pytest.mark.parametrize(
    ("die", "end"), [(_die_before, State.UNCLEAR), (_die_after, State.CONFIRMED)], ids=["before", "after"]
)
def test_a_death_around_the_call_is_settled_without_asking_again(
    asked: CourseRedemption, account: FakeBilling, die: Callable[[FakeBilling], None], end: str
) -> None:
    die(account)
    with pytest.raises(Killed):
        perform(asked, account=account, now=NOW)
    settle_all(account=account, now=LATER)
    asked.refresh_from_db()
    assert asked.state == end
    assert account.faults.count("redeem") == 1


def test_what_is_never_listed_can_be_given_up_after_two_days_but_not_before(
    cast: Cast, asked: CourseRedemption, account: FakeBilling
) -> None:
    account.faults.break_before("redeem", Transient("closed"))
    assert perform(asked, account=account, now=NOW) is State.UNCLEAR
    with pytest.raises(RedemptionRefused):
        give_up(asked, why="nothing came", who=cast.instructor.user, now=LATER)
    give_up(asked, why="nothing came", who=cast.instructor.user, now=NOW + timedelta(hours=49))
    assert (asked.state, code_of(asked).status) == (State.FAILED, "quarantined")


def test_what_was_never_asked_for_is_stock_again(cast: Cast, asked: CourseRedemption) -> None:
    give_up(asked, why="changed our minds", who=cast.instructor.user, now=NOW)
    assert code_of(asked).status == "available"
    assert check_codes() == []


def test_a_credit_that_shows_late_is_found_later(asked: CourseRedemption, account: FakeBilling) -> None:
    account.hidden = True
    assert perform(asked, account=account, now=NOW) is State.CONFIRMED
    assert asked.credit_id is None
    account.hidden = False
    look_again(account=account, now=LATER)
    asked.refresh_from_db()
    assert asked.amount_usd == 100


def test_one_new_credit_is_not_taken_for_two_redemptions(cast: Cast, batch: CodeBatch, account: FakeBilling) -> None:
    """The first was accepted, but its credit is not listed; the second got lost. One credit appears: whose is it?"""
    first, second = (asked_for(cast, code) for code in batch.codes.all()[:2])
    account.hidden = True
    perform(first, account=account, now=NOW)
    account.faults.break_before("redeem", Transient("closed"))
    perform(second, account=account, now=NOW)
    account.hidden = False
    look_again(account=account, now=LATER)
    second.refresh_from_db()
    assert second.state == State.UNCLEAR


def test_only_one_is_with_aws_at_a_time(cast: Cast, batch: CodeBatch, account: FakeBilling) -> None:
    first, second = (asked_for(cast, code) for code in batch.codes.all()[:2])
    during: list[str] = []

    def meanwhile() -> None:
        if not during:
            during.append(perform(second, account=account, now=NOW))

    account.faults.on_call("redeem", meanwhile)
    perform(first, account=account, now=NOW)
    assert during == [State.ASKED]
    assert perform(second, account=account, now=NOW) is State.CONFIRMED


# ------------------------------------------------------------------ money


def test_the_credit_is_counted_into_the_budget_once(cast: Cast, asked: CourseRedemption, account: FakeBilling) -> None:
    money = {"course_usd": Decimal(1000), "team_usd": Decimal(500), "person_usd": Decimal(100)}
    open_budgets(cast.course, **money, why="start", who=None, now=NOW)
    with pytest.raises(RedemptionRefused):
        add_to_budget(asked, why="", who=cast.instructor.user, now=NOW)
    perform(asked, account=account, now=NOW)
    with pytest.raises(RedemptionRefused):
        add_to_budget(asked, why="", who=cast.ta.user, now=NOW)
    add_to_budget(asked, why="more GPUs", who=cast.instructor.user, now=NOW)
    with pytest.raises(RedemptionRefused):
        add_to_budget(asked, why="again", who=cast.instructor.user, now=NOW)
    assert Budget.objects.get(course=cast.course, level=Level.COURSE).amount_usd == 1100


def test_the_page_says_what_is_left_or_why_it_cannot(cast: Cast, account: FakeBilling) -> None:
    account.grant(Decimal(70), ends=NOW + timedelta(days=9))
    account.grant(Decimal(30), ends=NOW - timedelta(days=1))
    view = account_view(cast.course, account=account, now=NOW)
    assert (view.remaining_usd, view.problem) == (70, "")
    account.faults.break_before("credits", CloudError("no"))
    assert account_view(cast.course, account=account, now=NOW).problem
    account.is_offered = False
    view = account_view(cast.course, account=account, now=NOW)
    assert (view.is_offered, bool(view.problem)) == (False, True)
    assert course_account.settle_all(account=account, now=NOW) == 0


def test_a_free_code_of_the_reserve_will_do_as_well(cast: Cast, account: FakeBilling) -> None:
    reserve = make_batch(cast.course, purpose="reserve")
    assert perform(asked_for(cast, reserve.codes.all()[1]), account=account, now=NOW) is State.CONFIRMED
