"""Codes that staff give to a named holder, and codes that come back: said twice, done once; each a row with why."""

from datetime import date

import pytest

from courses.models import Enrollment, User
from credits.awards import award
from credits.claiming import ClaimRefused, claim
from credits.entitlement import Refusal
from credits.models import CodeBatch, CodeEvent, CreditCode
from credits.queries import codes_of
from credits.returns import ReturnRefused, return_code, revoke
from credits.services import RevealRefused, report_redeemed, reveal
from tests.conftest import Cast
from tests.credits.conftest import NOW, make_batch


@pytest.fixture
def prizes(cast: Cast) -> CodeBatch:
    return make_batch(cast.course, 2, 700, name="Prizes", purpose="prize")


@pytest.fixture
def code(cast: Cast, batch: CodeBatch) -> CreditCode:
    return claim(cast.student, batch, who=cast.student.user, address=None, now=NOW)


def _award(batch: CodeBatch, cast: Cast, holder: object = None, key: str = "contest/1/place/1", **more) -> CreditCode:
    who = cast.instructor.user
    return award(batch, holder or cast.student, key=key, why="First place", who=who, now=NOW, **more)


def _events(code: CreditCode) -> list[str]:
    return list(code.events.values_list("verb", flat=True))


def _look(code: CreditCode, who: User, why: str = "") -> None:
    reveal(code, who=who, why=why, address=None, now=NOW)


# ------------------------------------------------------------------ awards
def test_an_award_said_twice_is_one_code_and_one_row(cast: Cast, prizes: CodeBatch) -> None:
    code = _award(prizes, cast)
    assert _award(prizes, cast) == code
    assert (code.holder, code.status, code.entitlement) == (cast.student, "claimed", "contest/1/place/1")
    event = CodeEvent.objects.get(verb="awarded")
    assert (event.code, event.who, event.why) == (code, cast.instructor.user, "First place")
    assert list(codes_of(cast.student)) == [code]


def test_another_key_is_another_code_also_beside_a_claimed_one(cast: Cast, code: CreditCode, batch: CodeBatch) -> None:
    second, third = _award(batch, cast, key="request/1"), _award(batch, cast, key="request/2")
    assert len({code, second, third}) == 3
    assert claim(cast.student, batch, who=cast.student.user, address=None, now=NOW) == code


def test_an_award_does_not_use_up_what_the_person_may_claim(cast: Cast, batch: CodeBatch) -> None:
    given = _award(batch, cast, key="request/1")
    assert claim(cast.student, batch, who=cast.student.user, address=None, now=NOW) != given


def test_a_team_is_awarded_once_and_all_members_see_it(cast: Cast, prizes: CodeBatch) -> None:
    code = _award(prizes, cast, cast.team)
    assert _award(prizes, cast, cast.team) == code
    assert list(codes_of(cast.other_student)) == [code]


def test_no_award_without_stock_after_the_last_day_to_strangers_or_to_who_left(cast: Cast, prizes: CodeBatch) -> None:
    def refusal(holder: Enrollment) -> Refusal:
        with pytest.raises(ClaimRefused) as caught:
            _award(prizes, cast, holder)
        assert prizes.name in str(caught.value) or "not enrolled" in str(caught.value)
        return caught.value.refusal

    assert refusal(cast.foreign_instructor) == Refusal.NOT_FOR_YOU
    Enrollment.objects.filter(pk=cast.other_student.pk).update(status="dropped")
    assert refusal(cast.other_student) == Refusal.NOT_ENROLLED
    CodeBatch.objects.update(redeem_by=date(2019, 1, 1))
    assert refusal(cast.student) == Refusal.EXPIRED
    CodeBatch.objects.update(redeem_by=None)
    prizes.codes.update(status="revoked")
    assert refusal(cast.student) == Refusal.EMPTY
    assert not CodeEvent.objects.filter(verb="awarded").exists()


def test_what_was_revoked_comes_back_only_as_a_replacement_asked_for(cast: Cast, prizes: CodeBatch) -> None:
    code = _award(prizes, cast)
    revoke(code, why="was not the winner", who=cast.instructor.user, now=NOW)
    with pytest.raises(ClaimRefused) as caught:
        _award(prizes, cast)
    assert caught.value.refusal == Refusal.USED
    new = _award(prizes, cast, replace=True)
    assert new != code
    assert _award(prizes, cast, replace=True) == new


# ------------------------------------------------------------------ giving back
def test_a_code_that_nobody_has_seen_goes_back_to_stock(cast: Cast, code: CreditCode, batch: CodeBatch) -> None:
    assert return_code(code, why="I have enough", who=cast.student.user, now=NOW) == "available"
    assert (code.status, code.holder, code.claimed_at, code.entitlement) == ("available", None, None, "")
    assert _events(code) == ["imported", "claimed", "returned"]
    assert claim(cast.other_student, batch, who=cast.other_student.user, address=None, now=NOW) == code


@pytest.mark.parametrize("who", ["student", "ta"])
def test_a_code_that_anybody_has_seen_is_put_aside(cast: Cast, code: CreditCode, batch: CodeBatch, who: str) -> None:
    _look(code, getattr(cast, who).user, "she cannot read it")
    assert return_code(code, why="not needed", who=cast.student.user, now=NOW) == "quarantined"
    assert (code.status, code.holder) == ("quarantined", cast.student)
    assert _events(code)[-1] == "quarantined"


def test_show_redeem_elsewhere_give_back_and_claim_the_next_does_not_work(
    cast: Cast, code: CreditCode, batch: CodeBatch
) -> None:
    _look(code, cast.student.user)
    return_code(code, why="not needed", who=cast.student.user, now=NOW)
    with pytest.raises(ClaimRefused) as caught:
        claim(cast.student, batch, who=cast.student.user, address=None, now=NOW)
    assert caught.value.refusal == Refusal.USED
    with pytest.raises(RevealRefused, match="out of use"):
        _look(code, cast.student.user)


@pytest.mark.parametrize("who", ["other_student", "foreign_instructor", "stranger"])
@pytest.mark.parametrize("verb", [return_code, revoke])
def test_nobody_else_takes_a_code_away(cast: Cast, code: CreditCode, verb, who: str) -> None:
    line = getattr(cast, who)
    with pytest.raises(ReturnRefused, match="somebody else"):
        verb(code, why="mine", who=line if isinstance(line, User) else line.user, now=NOW)


@pytest.mark.parametrize("verb", [return_code, revoke])
def test_staff_must_say_why(cast: Cast, code: CreditCode, verb) -> None:
    with pytest.raises(ReturnRefused, match="Say why"):
        verb(code, why=" ", who=cast.ta.user, now=NOW)
    assert verb(code, why="wrong section", who=cast.ta.user, now=NOW)
    assert CodeEvent.objects.filter(code=code, who=cast.ta.user, why="wrong section").count() == 1


def test_a_redeemed_code_neither_goes_back_nor_is_revoked(cast: Cast, code: CreditCode) -> None:
    report_redeemed(code, who=cast.student.user, address=None, now=NOW)
    for verb in (return_code, revoke):
        with pytest.raises(ReturnRefused):
            verb(code, why="too late", who=cast.ta.user, now=NOW)


# ------------------------------------------------------------------ revoking
def test_a_revoked_code_is_out_of_use_for_good_and_its_holder_claims_no_other(
    cast: Cast, code: CreditCode, batch: CodeBatch
) -> None:
    assert revoke(code, why="leaked", who=cast.ta.user, now=NOW) is True
    assert revoke(code, why="leaked", who=cast.ta.user, now=NOW) is False
    assert _events(code) == ["imported", "claimed", "revoked"]
    with pytest.raises(RevealRefused, match="out of use"):
        _look(code, cast.student.user)
    with pytest.raises(ClaimRefused) as caught:
        claim(cast.student, batch, who=cast.student.user, address=None, now=NOW)
    assert caught.value.refusal == Refusal.USED


def test_a_free_code_can_be_revoked(cast: Cast, batch: CodeBatch) -> None:
    free = batch.codes.first()
    assert revoke(free, why="typed wrong", who=cast.ta.user, now=NOW)
    got = claim(cast.student, batch, who=cast.student.user, address=None, now=NOW)
    assert got != free
