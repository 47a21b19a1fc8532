"""For whom a batch is: judged one by one with a reason, said in words, and counted; the three always agree."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from courses.models import Enrollment, EnrollmentStatus, Role, Team
from credits.coverage import covered, covered_people, refusal_of
from credits.entitlement import BadRule, Claimant, Refusal, Rule, Terms, needs_team, not_covered, parse, refusal
from credits.models import BatchEvent, CodeBatch
from credits.opening import BadTimes, close_now, open_now, schedule, set_rule
from credits.words import refusal_words, rule_words
from tests.conftest import Cast
from tests.credits.conftest import NOW, make_batch

DAY = timedelta(days=1)
ADA = Claimant("student", "active", "101", "Team 1", date(2019, 1, 20))


def _judge(rule: Rule, claimant: Claimant = ADA, purpose: str = "everyone") -> Refusal | None:
    return refusal(Terms(purpose, None, None, None, rule), claimant, NOW)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(), None),
        (Rule(roles=("ta", "instructor")), Refusal.NOT_FOR_YOU),
        (Rule(sections=("101", "103")), None),
        (Rule(sections=("102",)), Refusal.OTHER_SECTION),
        (Rule(teams=("Team 1",)), None),
        (Rule(teams=("Team 2",)), Refusal.OTHER_TEAM),
        (Rule(enrolled_before=date(2019, 1, 21)), None),
        (Rule(enrolled_before=date(2019, 1, 20)), Refusal.ENROLLED_LATE),
    ],
)
def test_each_part_of_the_rule_refuses_with_its_own_reason(rule: Rule, expected: Refusal | None) -> None:
    assert _judge(rule) == expected


def test_the_waitlist_is_out_unless_staff_say_otherwise_and_dropped_people_always_are() -> None:
    waiting = Claimant("student", "waitlisted", "", None, date(2019, 1, 20))
    dropped = Claimant("student", "dropped", "", None, date(2019, 1, 20))
    assert _judge(Rule(), waiting) == Refusal.NOT_ENROLLED
    assert _judge(Rule(waitlist=True), waiting) is None
    assert _judge(Rule(waitlist=True), dropped) == Refusal.NOT_ENROLLED


def test_without_a_team_nothing_is_claimed_where_one_is_needed() -> None:
    alone = Claimant("student", "active", "", None, date(2019, 1, 20))
    assert _judge(Rule(), alone) is None
    assert _judge(Rule(with_team=True), alone) == Refusal.NO_TEAM
    assert _judge(Rule(), alone, "teams") == Refusal.NO_TEAM


@pytest.mark.parametrize("purpose", ["prize", "reserve"])
def test_prizes_and_reserve_are_nobodys_to_claim(purpose: str) -> None:
    assert _judge(Rule(roles=("student", "ta")), purpose=purpose) == Refusal.NOT_FOR_YOU


def test_every_refusal_has_words(cast: Cast, batch: CodeBatch) -> None:
    assert len({refusal_words(reason, batch) for reason in Refusal}) == len(Refusal)


# ------------------------------------------------------------------ as data
@pytest.mark.parametrize(
    ("data", "part"),
    [
        ([], "rule"),
        ({"roles": []}, "roles"),
        ({"roles": ["dean"]}, "roles"),
        ({"roles": "student"}, "roles"),
        ({"sections": "101"}, "sections"),
        ({"sections": [101]}, "sections"),
        ({"sections": [" "]}, "sections"),
        ({"with_team": "yes"}, "with_team"),
        ({"waitlist": 1}, "waitlist"),
        ({"enrolled_before": "1 Feb"}, "enrolled_before"),
        ({"section": ["101"]}, "section"),
    ],
)
def test_what_is_not_understood_never_means_anybody(data: object, part: str) -> None:
    with pytest.raises(BadRule) as caught:
        parse(data)
    assert caught.value.part == part


names = st.lists(st.sampled_from(["101", "102", "Team 1", "Team 2"]), max_size=2, unique=True).map(tuple)
rules = st.builds(
    Rule,
    roles=st.lists(st.sampled_from(["student", "ta"]), min_size=1, max_size=2, unique=True).map(tuple),
    sections=names,
    teams=names,
    with_team=st.booleans(),
    enrolled_before=st.none() | st.dates(date(2019, 1, 20), date(2019, 1, 26)),
    waitlist=st.booleans(),
)


@given(rules)
def test_a_rule_survives_its_column(rule: Rule) -> None:
    assert parse(rule.as_data()) == rule
    assert parse({}) == Rule()


# ------------------------------------------------------------------ in words
@pytest.mark.parametrize(
    ("rule", "purpose", "words"),
    [
        (Rule(), "everyone", "Students; people on the waitlist excluded."),
        (
            Rule(sections=("101",), enrolled_before=date(2019, 2, 1)),
            "everyone",
            "Students of section 101 who enrolled before 1 Feb 2019; people on the waitlist excluded.",
        ),
        (
            Rule(roles=("student", "ta"), sections=("101", "102"), with_team=True, waitlist=True),
            "everyone",
            "Students and TAs of sections 101 and 102 with a team; people on the waitlist included.",
        ),
        (
            Rule(teams=("Team 1",)),
            "teams",
            "One code for each team with students in team Team 1; people on the waitlist excluded.",
        ),
    ],
)
def test_the_rule_reads_as_a_sentence(rule: Rule, purpose: str, words: str) -> None:
    assert rule_words(purpose, rule) == words


@pytest.mark.parametrize("purpose", ["prize", "reserve"])
def test_what_staff_give_says_so(purpose: str) -> None:
    assert "Nobody claims these" in rule_words(purpose, Rule())


# ------------------------------------------------------------------ counted
@pytest.fixture
def many(cast: Cast) -> list[Enrollment]:
    """Every mixture of role, status, section, team and day."""
    cast.course.timezone = "America/Los_Angeles"
    cast.course.save()
    teams = [None, cast.team, Team.objects.create(course=cast.course, name="Team 2")]
    # Two hours on either side of midnight in California.
    times = [datetime(2019, 1, day, hour, tzinfo=UTC) for day in (22, 24) for hour in (6, 10)]
    lines = [
        Enrollment(course=cast.course, role=role, status=status, section=section, team=team, name=f"P{n}")
        for n, (role, status, section, team) in enumerate(
            (role, status, section, team)
            for role in (Role.STUDENT, Role.TA)
            for status in EnrollmentStatus
            for section in ("", "101", "102")
            for team in teams
        )
    ]
    for n, line in enumerate(lines):
        line.email = f"p{n}@demo.edu"
    for n, line in enumerate(Enrollment.objects.bulk_create(lines)):
        Enrollment.objects.filter(pk=line.pk).update(created_at=times[n % 4])
    return list(Enrollment.objects.filter(course=cast.course).select_related("team"))


@pytest.mark.parametrize("purpose", ["everyone", "teams"])
def test_counting_and_judging_agree_for_any_rule(cast: Cast, many: list[Enrollment], purpose: str) -> None:
    batch = make_batch(cast.course, 0, purpose=purpose)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(rules)
    def agree(rule: Rule) -> None:
        batch.rule = rule.as_data()
        judged = {line for line in many if refusal_of(line, batch, NOW) is None}
        needs = needs_team(Terms(purpose, None, None, None, rule))
        assert set(covered_people(cast.course, rule, needs_team=needs)) == judged
        expected = len({line.team for line in judged}) if purpose == "teams" else len(judged)
        assert covered(cast.course, purpose, rule) == expected

    agree()


def test_counting_is_one_query_and_needs_no_batch(
    cast: Cast, many: list[Enrollment], django_assert_num_queries
) -> None:
    rule = Rule(sections=("101",), teams=("Team 1",), enrolled_before=date(2019, 1, 23))
    with django_assert_num_queries(1):
        assert 0 < covered(cast.course, "everyone", rule) < len(many)
    assert covered(cast.course, "prize", rule) == 0


def test_the_day_ends_at_midnight_where_the_course_is(cast: Cast, many: list[Enrollment]) -> None:
    """22 January 06:00 UTC is still the 21st in California."""
    before = Rule(enrolled_before=date(2019, 1, 22), roles=("student", "ta"))
    people = covered_people(cast.course, before, needs_team=False)
    assert {line.created_at for line in people} == {datetime(2019, 1, 22, 6, tzinfo=UTC)}


# ------------------------------------------------------------------ staff decide
def _events(batch: CodeBatch) -> list[tuple[str, str, object]]:
    return list(BatchEvent.objects.filter(batch=batch).values_list("verb", "why", "who"))


def test_opening_and_closing_now_are_rows_with_who_and_why_and_are_done_once(cast: Cast) -> None:
    who = cast.instructor.user
    batch = make_batch(cast.course, opens_at=NOW + DAY)
    assert open_now(batch, who=who, why="all are here", now=NOW)
    assert not open_now(batch, who=who, why="again", now=NOW)
    assert refusal_of(cast.student, batch, NOW) is None
    assert close_now(batch, who=who, why="one too many", now=NOW)
    assert not close_now(batch, who=who, why="again", now=NOW)
    assert refusal_of(cast.student, batch, NOW) == Refusal.CLOSED
    assert open_now(batch, who=who, why="sorry", now=NOW + DAY)
    assert refusal_of(cast.student, batch, NOW + DAY) is None
    assert _events(batch) == [
        ("opened", "all are here", who.pk),
        ("closed", "one too many", who.pk),
        ("opened", "sorry", who.pk),
    ]


def test_a_batch_closed_before_its_day_does_not_open_by_itself(cast: Cast) -> None:
    batch = make_batch(cast.course, opens_at=NOW + DAY)
    close_now(batch, who=None, why="wrong batch", now=NOW)
    assert refusal_of(cast.student, batch, NOW + 2 * DAY) == Refusal.CLOSED


def test_opening_now_keeps_a_closing_time_to_come(cast: Cast) -> None:
    batch = make_batch(cast.course, opens_at=NOW + DAY, closes_at=NOW + 3 * DAY)
    open_now(batch, who=None, why="", now=NOW)
    assert refusal_of(cast.student, batch, NOW + 2 * DAY) is None
    assert refusal_of(cast.student, batch, NOW + 3 * DAY) == Refusal.CLOSED


def test_a_schedule_runs_by_itself_and_must_not_end_before_it_begins(cast: Cast, batch: CodeBatch) -> None:
    def plan(opens: timedelta, closes: timedelta) -> None:
        schedule(batch, opens_at=NOW + opens, closes_at=NOW + closes, who=cast.ta.user, why="week 2", now=NOW)

    with pytest.raises(BadTimes):
        plan(2 * DAY, DAY)
    assert _events(batch) == []
    plan(DAY, 2 * DAY)
    found = [refusal_of(cast.student, batch, NOW + hours * timedelta(hours=1)) for hours in (23, 24, 47, 48)]
    assert found == [Refusal.NOT_OPEN_YET, None, None, Refusal.CLOSED]
    assert _events(batch) == [("scheduled", "week 2", cast.ta.user.pk)]


def test_a_new_rule_is_a_row_and_holds_for_the_next_click(cast: Cast, batch: CodeBatch) -> None:
    set_rule(batch, Rule(sections=("7",)), who=cast.ta.user, why="lab only", now=NOW)
    assert refusal_of(cast.student, batch, NOW) == Refusal.OTHER_SECTION
    event = BatchEvent.objects.get()
    assert (event.verb, event.why, event.facts["sections"]) == ("rule", "lab only", ["7"])
    with pytest.raises(BadRule):
        set_rule(batch, Rule(roles=()), who=cast.ta.user, why="", now=NOW)
    assert not_covered(Terms("everyone", None, None, None, parse(batch.rule)), ADA) == Refusal.OTHER_SECTION
