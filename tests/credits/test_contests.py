"""Prizes: a leaderboard read in any of its shapes, names matched to people, and codes given once, ties and all."""

from decimal import Decimal

import pytest

from courses.models import Enrollment, Team
from courses.tables import read_text
from credits.contests import ContestRefused, award_places, create_contest, enter, people_of, preview
from credits.models import CodeBatch, Contest, ContestPlace, CreditCode, Letter, Purpose
from credits.prospects import Concern, Prospect, prospects
from credits.queries import codes_of
from credits.ranking import Known, NotARanking, Ranked, guesses, read_ranking, winners
from credits.services import claim
from tests.conftest import Cast
from tests.credits.conftest import NOW, enroll_students, make_batch

NEW_STYLE = """Rank,TeamId,TeamName,LastSubmissionDate,Score,SubmissionCount,TeamMemberUserNames
1,166,"Whale, Calls","2019-02-18 23:01:03",0.11,20,"ada,ben"
2,167,Ben Other,2019-02-18 22:01:03,0.12,3,ben
3,168,Nobody Knows,2019-02-18 22:01:03,0.13,3,nk
"""
# One line for each improvement of a team, as older leaderboards are.
OLD_STYLE = """TeamId,TeamName,SubmissionDate,Score
1,Alpha,2019-02-13,0.50
2,Beta,2019-02-14,0.40
1,Alpha,2019-02-15,0.30
3,Gamma,2019-02-15,0.30
"""


def ranks(text: str, **more: bool) -> list[tuple[int, str]]:
    return [(one.rank, one.name) for one in read_ranking(read_text(text), **more)]


# ------------------------------------------------------------------ reading


def test_kaggles_leaderboard_of_today_is_read() -> None:
    first = read_ranking(read_text(NEW_STYLE))[0]
    assert first == Ranked(1, "Whale, Calls", "0.11", ("ada", "ben"), "166")


def test_of_an_older_one_each_teams_best_counts_and_equal_scores_share_a_rank() -> None:
    lower = [(1, "Alpha"), (1, "Gamma"), (3, "Beta")]
    assert ranks(OLD_STYLE, higher_is_better=False) == lower
    assert ranks(OLD_STYLE) == [(1, "Alpha"), (2, "Beta"), (3, "Gamma")]


def test_a_list_of_names_is_a_ranking() -> None:
    assert ranks("Alpha\nBeta\n") == [(1, "Alpha"), (2, "Beta")]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "Rank,TeamName\nfirst,Alpha\n", "TeamName,Score\nAlpha,good\nBeta,1\n"])
def test_what_is_no_ranking_is_refused(text: str) -> None:
    with pytest.raises(NotARanking):
        read_ranking(read_text(text))


def test_a_tie_at_the_last_place_makes_more_winners_than_places() -> None:
    tied = [Ranked(1, "a"), Ranked(2, "b"), Ranked(3, "c"), Ranked(3, "d"), Ranked(5, "e")]
    assert [one.name for one in winners(tied, 3)] == ["a", "b", "c", "d"]


# ------------------------------------------------------------------ matching


@pytest.mark.parametrize(
    ("name", "members", "sure"),
    [
        ("whale-calls!", (), "team:1"),
        ("Team 07 Whale Calls", (), "team:1"),
        ("Zoë Müller", (), "person:2"),
        ("xX_z_Xx", ("zmuller",), "person:2"),
        ("Deep Learners", (), None),
    ],
)
def test_names_as_people_write_them_lead_to_who_is_meant(name: str, members: tuple[str, ...], sure: str | None) -> None:
    known = [
        Known("team:1", "Team 07: Whale Calls"),
        Known("team:2", "Team 08: Bird Songs"),
        Known("person:2", "Zoe Muller", ("zmuller",)),
    ]
    (guess,) = guesses([Ranked(1, name, members=members)], known)
    assert (guess.sure.key if guess.sure else None) == sure


def test_two_who_are_equally_likely_are_both_offered_and_none_is_chosen() -> None:
    known = [Known("person:1", "Wei Zhang"), Known("person:2", "Wei Zhang")]
    (guess,) = guesses([Ranked(1, "wei zhang")], known)
    assert (guess.sure, {one.key for one in guess.maybe}) == (None, {"person:1", "person:2"})


# ------------------------------------------------------------------ awarding


@pytest.fixture
def pool(cast: Cast) -> CodeBatch:
    return make_batch(
        cast.course, 3, first=100, purpose=Purpose.PRIZE, value_usd=Decimal(500), promotion="P500", name="Prizes"
    )


@pytest.fixture
def contest(cast: Cast, pool: CodeBatch) -> Contest:
    return create_contest(cast.course, name="HW4", places=3, pool=pool, who=cast.instructor.user, now=NOW)


def entered(cast: Cast, contest: Contest, *lines: tuple[int, str, Team | Enrollment | None]) -> list[ContestPlace]:
    def key(holder: Team | Enrollment | None) -> str:
        return "" if holder is None else f"{'team' if isinstance(holder, Team) else 'person'}:{holder.pk}"

    ranking = [Ranked(rank, name) for rank, name, _holder in lines]
    behind = {name: key(holder) for _rank, name, holder in lines}
    return enter(contest, ranking, behind, who=cast.instructor.user, now=NOW)


def others(cast: Cast) -> list[Enrollment]:
    return list(Enrollment.objects.filter(pk__in=enroll_students(cast.course, 2)))


def found(contest: Contest) -> dict[str, Prospect]:
    return {one.place.name: one for one in prospects(contest)}


def test_from_leaderboard_to_code_on_the_winners_page(cast: Cast, contest: Contest) -> None:
    ranking = read_ranking(read_text(NEW_STYLE.replace("Whale, Calls", "Team one").replace("ada,ben", "x")))
    sure = {guess.ranked.name: guess.sure.key if guess.sure else "" for guess in preview(contest, ranking)}
    assert sure == {"Team one": "", "Ben Other": f"person:{cast.other_student.pk}", "Nobody Knows": ""}
    sure["Team one"] = f"team:{cast.team.pk}"
    places = enter(contest, ranking, sure, who=cast.instructor.user, now=NOW)
    outcomes = award_places(contest, places, who=cast.instructor.user, now=NOW)
    assert [bool(outcome.code) for outcome in outcomes] == [True, True, False]
    assert codes_of(cast.student).get().team == cast.team
    assert codes_of(cast.other_student).count() == 2
    assert {letter.to for letter in Letter.objects.all()} == {cast.student.email, cast.other_student.email}


def test_awarded_again_nothing_is_doubled(cast: Cast, contest: Contest) -> None:
    places = entered(cast, contest, (1, "a", cast.student), (2, "b", cast.other_student))
    first = award_places(contest, places, who=cast.instructor.user, now=NOW)
    again = award_places(contest, places, who=cast.ta.user, now=NOW)
    assert [outcome.code for outcome in again] == [outcome.code for outcome in first]
    assert not any(outcome.is_new for outcome in again)
    assert CreditCode.objects.filter(status="claimed").count() == 2
    assert Letter.objects.count() == 2


def test_entered_again_what_was_awarded_stays(cast: Cast, contest: Contest) -> None:
    places = entered(cast, contest, (1, "a", cast.student), (2, "b", cast.other_student))
    award_places(contest, places[:1], who=cast.instructor.user, now=NOW)
    entered(cast, contest, (1, "a", None), (2, "c", others(cast)[0]))
    kept = ContestPlace.objects.get(contest=contest, name="a")
    assert (kept.enrollment, kept.code is not None) == (cast.student, True)
    assert set(contest.ranking.values_list("name", flat=True)) == {"a", "c"}


def test_a_tie_shares_the_prize_while_stock_allows_and_else_staff_choose(cast: Cast, contest: Contest) -> None:
    cast_of_four = (cast.student, cast.other_student, *others(cast))
    names = ((1, "a"), (2, "b"), (3, "c"), (3, "d"))
    places = entered(cast, contest, *((rank, name, who) for (rank, name), who in zip(names, cast_of_four, strict=True)))
    concerns = {name: one.concerns for name, one in found(contest).items()}
    assert [Concern.TIE in concerns[name] for name in "abcd"] == [False, False, True, True]
    with pytest.raises(ContestRefused, match="4"):
        award_places(contest, places, who=cast.instructor.user, now=NOW)
    assert CreditCode.objects.filter(status="claimed").count() == 0
    outcomes = award_places(contest, [places[0], places[1], places[3]], who=cast.instructor.user, now=NOW)
    assert [outcome.place.name for outcome in outcomes if outcome.code] == ["a", "b", "d"]


def test_with_codes_for_all_a_tie_is_no_concern(cast: Cast, contest: Contest) -> None:
    entered(cast, contest, (1, "a", cast.student), (1, "b", cast.other_student), (3, "c", others(cast)[0]))
    assert all(one.is_ready for one in prospects(contest))


def test_a_person_behind_two_names_is_said_and_wins_once_alone(cast: Cast, contest: Contest) -> None:
    places = entered(cast, contest, (1, "a", cast.team), (2, "b", cast.student), (3, "c", cast.student))
    assert all(Concern.TWICE in one.concerns for one in prospects(contest))
    outcomes = award_places(contest, places[1:], who=cast.instructor.user, now=NOW)
    assert [bool(outcome.code) for outcome in outcomes] == [True, False]
    assert "Ada" in outcomes[1].refused


def test_who_has_a_code_of_the_promotion_is_said_with_who_could_redeem_it(cast: Cast, contest: Contest) -> None:
    everyone = make_batch(cast.course, promotion="P500")
    claim(cast.student, everyone, who=cast.student.user, address=None, now=NOW)
    entered(cast, contest, (1, "alone", cast.student), (2, "free", others(cast)[0]), (3, "team", cast.team))
    seen = found(contest)
    assert Concern.PROMOTION in seen["alone"].concerns
    assert list(seen["alone"].better) == [cast.other_student]
    assert Concern.PROMOTION not in seen["free"].concerns
    assert Concern.PROMOTION not in seen["team"].concerns  # a teammate can redeem it
    assert list(seen["team"].better) == [cast.other_student]
    claim(cast.other_student, everyone, who=cast.other_student.user, address=None, now=NOW)
    assert Concern.PROMOTION in found(contest)["team"].concerns


def test_only_staff_of_the_course_and_only_its_own_people(cast: Cast, contest: Contest, pool: CodeBatch) -> None:
    with pytest.raises(ContestRefused):
        create_contest(cast.course, name="x", places=1, pool=pool, who=cast.student.user, now=NOW)
    with pytest.raises(ContestRefused):
        create_contest(cast.course, name="HW4", places=1, pool=pool, who=cast.ta.user, now=NOW)
    with pytest.raises(ContestRefused):
        create_contest(cast.course, name="x", places=1, pool=make_batch(cast.course), who=cast.ta.user, now=NOW)
    with pytest.raises(ContestRefused):
        entered(cast, contest, (1, "a", cast.foreign_instructor))
    with pytest.raises(ContestRefused):
        entered(cast, contest, (1, "a", cast.ta))
    with pytest.raises(ContestRefused):
        award_places(contest, [], who=cast.foreign_instructor.user, now=NOW)


def test_two_teams_of_one_name_stay_two(cast: Cast, contest: Contest) -> None:
    ranking = [Ranked(1, "Team", key="77"), Ranked(2, "Team", key="78")]
    named = [guess.ranked.name for guess in preview(contest, ranking)]
    assert named == ["Team", "Team (78)"]
    behind = dict(zip(named, (f"person:{cast.student.pk}", f"team:{cast.team.pk}"), strict=True))
    places = enter(contest, ranking, behind, who=cast.ta.user, now=NOW)
    assert [place.holder for place in places] == [cast.student, cast.team]


def test_everybody_of_the_course_can_be_meant(cast: Cast) -> None:
    team = next(one for one in people_of(cast.course) if one.key == f"team:{cast.team.pk}")
    assert set(team.members) == {f"person:{cast.student.pk}", f"person:{cast.other_student.pk}"}
