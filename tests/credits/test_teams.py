"""A team's code is claimed once, seen by all its members, and neither lost nor doubled when somebody moves."""

import pytest
from django.db import IntegrityError, transaction

from courses.models import Enrollment, Role, Team, User
from credits.awards import award
from credits.claiming import ClaimRefused, InQueue, claim
from credits.entitlement import Refusal
from credits.models import CodeBatch, CodeEvent, CodeShare, CreditCode, Letter
from credits.queries import claimable, codes_of, codes_visible_to
from credits.returns import return_code, revoke
from credits.services import RevealRefused, report_redeemed, reveal
from credits.stock import add_codes
from tests.conftest import Cast
from tests.credits.conftest import NOW, code_text, make_batch


@pytest.fixture
def batch(cast: Cast) -> CodeBatch:
    return make_batch(cast.course, name="Project credit", purpose="teams")


@pytest.fixture
def team_2(cast: Cast) -> Team:
    return Team.objects.create(course=cast.course, name="Team 2")


@pytest.fixture
def cleo(cast: Cast, team_2: Team) -> Enrollment:
    return _join(cast, "Cleo", team_2)


def _join(cast: Cast, name: str, team: Team | None) -> Enrollment:
    user = User.objects.create_user(f"{name.lower()}@demo.edu", full_name=name)
    return Enrollment.objects.create(
        course=cast.course, user=user, email=user.email, name=name, role=Role.STUDENT, team=team
    )


def _move(line: Enrollment, team: Team) -> Enrollment:
    Enrollment.objects.filter(pk=line.pk).update(team=team)
    return Enrollment.objects.get(pk=line.pk)


def _claim(line: Enrollment, batch: CodeBatch) -> CreditCode:
    return claim(line, batch, who=line.user, address=None, now=NOW)


def _show(code: CreditCode, line: Enrollment) -> str:
    return reveal(code, who=line.user, why="", address=None, now=NOW)


def test_two_members_who_click_get_the_teams_one_code(cast: Cast, batch: CodeBatch) -> None:
    code = _claim(cast.student, batch)
    assert (code.team, code.holder) == (cast.team, None)
    assert _claim(cast.other_student, batch) == code
    assert CodeEvent.objects.get(verb="claimed").who == cast.student.user
    assert batch.codes.filter(status="available").count() == 2


def test_every_member_sees_and_shows_it_and_each_look_is_a_row(cast: Cast, batch: CodeBatch, cleo: Enrollment) -> None:
    code = _claim(cast.student, batch)
    for line in (cast.student, cast.other_student):
        assert list(codes_of(line)) == [code]
        assert code in codes_visible_to(line.user)
        assert claimable(line, NOW) == []
        assert _show(code, line) == code_text(0)
    looks = CodeEvent.objects.filter(verb="revealed").values_list("who", flat=True)
    assert list(looks) == [cast.student.user.pk, cast.other_student.user.pk]
    assert list(codes_of(cleo)) == []
    assert code not in codes_visible_to(cleo.user)
    with pytest.raises(RevealRefused):
        _show(code, cleo)


def test_any_member_may_report_it_redeemed(cast: Cast, batch: CodeBatch) -> None:
    code = _claim(cast.student, batch)
    assert report_redeemed(code, who=cast.other_student.user, address=None, now=NOW)


def test_who_comes_to_the_team_later_sees_it_too(cast: Cast, batch: CodeBatch, cleo: Enrollment) -> None:
    code = _claim(cast.student, batch)
    moved = _move(cleo, cast.team)
    assert list(codes_of(moved)) == [code]
    assert _claim(moved, batch) == code
    assert _show(code, moved) == code_text(0)


def test_a_move_loses_nothing_to_the_team_or_to_who_moves(cast: Cast, batch: CodeBatch, team_2: Team) -> None:
    code = _claim(cast.student, batch)
    moved = _move(cast.student, team_2)
    assert list(codes_of(cast.other_student)) == [code]
    assert list(codes_of(moved)) == [code]
    assert _show(code, moved) == code_text(0)


def test_a_move_doubles_nothing_not_even_when_the_whole_team_moves(cast: Cast, batch: CodeBatch, team_2: Team) -> None:
    code = _claim(cast.student, batch)
    for line in (cast.student, cast.other_student):
        assert _claim(_move(line, team_2), batch) == code
    assert batch.codes.filter(status="claimed").count() == 1


def test_who_only_looked_before_moving_on_has_had_a_part_as_well(cast: Cast, batch: CodeBatch, team_2: Team) -> None:
    code = _claim(cast.student, batch)
    late = _join(cast, "Late", cast.team)
    _show(code, late)
    assert _claim(_move(late, team_2), batch) == code


def test_the_new_team_still_gets_its_own_through_a_member_without_a_part(
    cast: Cast, batch: CodeBatch, team_2: Team, cleo: Enrollment
) -> None:
    first = _claim(cast.student, batch)
    _move(cast.student, team_2)
    second = _claim(cleo, batch)
    assert second != first
    assert second.team == team_2
    assert set(CodeShare.objects.values_list("enrollment", "code")) == {
        (cast.student.pk, first.pk),
        (cast.other_student.pk, first.pk),
        (cleo.pk, second.pk),
    }


def test_the_database_refuses_a_second_code_of_a_team_and_a_second_part_of_a_person(
    cast: Cast, batch: CodeBatch
) -> None:
    code = _claim(cast.student, batch)
    free = batch.codes.filter(status="available")[0]
    with pytest.raises(IntegrityError), transaction.atomic():
        CreditCode.objects.filter(pk=free.pk).update(status="claimed", team=cast.team, claimed_at=NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        CreditCode.objects.filter(pk=code.pk).update(holder=cast.student)  # a person's and a team's at once
    with pytest.raises(IntegrityError), transaction.atomic():
        CodeShare.objects.create(code=free, batch=batch, enrollment=cast.student)


def test_without_a_team_the_refusal_says_so_and_the_page_too(cast: Cast, batch: CodeBatch) -> None:
    alone = _join(cast, "Alone", None)
    with pytest.raises(ClaimRefused) as caught:
        _claim(alone, batch)
    assert caught.value.refusal == Refusal.NO_TEAM
    assert [offer.refusal for offer in claimable(alone, NOW)] == [Refusal.NO_TEAM]


# ------------------------------------------------------------------ the queue
def test_a_team_has_one_place_and_all_its_members_get_the_letter(cast: Cast, cleo: Enrollment) -> None:
    batch = make_batch(cast.course, codes=0, purpose="teams")
    for line, place in ((cast.student, 1), (cleo, 2), (cast.other_student, 1)):
        with pytest.raises(InQueue) as caught:
            _claim(line, batch)
        assert caught.value.place == place
    assert [offer.place for offer in claimable(cast.other_student, NOW)] == [1]
    add_codes(batch, [(1, code_text(50))], who=None, now=NOW)
    assert batch.codes.get().team == cast.team
    assert set(Letter.objects.values_list("to", flat=True)) == {cast.student.email, cast.other_student.email}
    assert list(codes_of(cast.other_student)) == [batch.codes.get()]


def test_a_place_stays_the_teams_when_who_clicked_moves_on(cast: Cast, team_2: Team) -> None:
    batch = make_batch(cast.course, codes=0, purpose="teams")
    with pytest.raises(InQueue):
        _claim(cast.student, batch)
    moved = _move(cast.student, team_2)
    with pytest.raises(InQueue) as caught:
        _claim(moved, batch)
    assert caught.value.place == 2
    add_codes(batch, ((n, code_text(50 + n)) for n in range(2)), who=None, now=NOW)
    assert set(batch.codes.values_list("team", flat=True)) == {cast.team.pk, team_2.pk}


def test_a_team_that_everybody_left_is_skipped(cast: Cast, cleo: Enrollment) -> None:
    batch = make_batch(cast.course, codes=0, purpose="teams")
    for line in (cast.student, cleo):
        with pytest.raises(InQueue):
            _claim(line, batch)
    Enrollment.objects.filter(team=cast.team).update(status="dropped")
    add_codes(batch, [(1, code_text(50))], who=None, now=NOW)
    assert batch.codes.get().team == cleo.team


# ------------------------------------------------------------------ back, and again
def test_a_teams_code_given_back_unseen_can_be_claimed_again(cast: Cast, batch: CodeBatch) -> None:
    code = _claim(cast.student, batch)
    assert return_code(code, why="not needed", who=cast.other_student.user, now=NOW) == "available"
    assert not CodeShare.objects.exists()
    assert _claim(cast.other_student, batch).team == cast.team


def test_a_revoked_one_is_replaced_for_all_members_by_staff_only(cast: Cast, batch: CodeBatch, team_2: Team) -> None:
    code = _claim(cast.student, batch)
    revoke(code, why="typed wrong", who=cast.ta.user, now=NOW)
    with pytest.raises(ClaimRefused) as caught:
        _claim(cast.other_student, batch)
    assert caught.value.refusal == Refusal.USED
    new = award(batch, cast.team, key="", why="the first was wrong", who=cast.ta.user, now=NOW, replace=True)
    assert _claim(cast.other_student, batch) == new
    moved = _move(cast.student, team_2)
    assert _claim(moved, batch) == new  # the replacement took the place of what it replaces
