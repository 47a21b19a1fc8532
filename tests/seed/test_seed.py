"""The seeded course: its books add up, nobody is over a cap, nothing of it is left for a sweep, and it can be used."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from django.core.management import call_command
from django.db.models import Count, F, Q
from pytest_django import DjangoDbBlocker

from courses.models import Course, Enrollment, EnrollmentStatus, Milestone, Role, Team, User
from credits.models import CodeBatch, CreditCode
from credits.queries import claimable, codes_of
from credits.services import claim, reveal
from demo import people
from demo.seed.build import seed
from instances.drill_records import GuardProof
from instances.halts import Halt
from instances.models import Instance, InstanceEvent, Policy, Preset, Run
from instances.services import request_launch
from instances.states import ENDED, may_move
from instances.whatif_views import past_of
from spend.checks import check_books
from spend.models import (
    Alarm,
    Budget,
    Charge,
    ChatChannel,
    Correction,
    DailySpend,
    Drift,
    Hold,
    Level,
    MoneyMove,
)
from spend.releasing import upcoming

pytestmark = pytest.mark.slow
NOW = datetime(2026, 11, 23, 14, 15, tzinfo=UTC)
COUNTED = (
    User,
    Enrollment,
    Team,
    CreditCode,
    Instance,
    Run,
    InstanceEvent,
    Charge,
    DailySpend,
    Budget,
    Hold,
    MoneyMove,
)


@pytest.fixture(scope="module")
def seeded(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Decimal | None]:
    """Seeded once, for real, for all tests here: each then works in a transaction of its own that is undone."""
    with django_db_blocker.unblock():
        spent = seed(NOW)
    yield spent
    with django_db_blocker.unblock():
        call_command("flush", interactive=False, verbosity=0)


@pytest.fixture
def course(seeded: Decimal, db: None) -> Course:
    return Course.objects.get()


def _line(email: str) -> Enrollment:
    return Enrollment.objects.select_related("user", "course").get(email=email)


def test_the_books_add_up_and_the_spend_is_what_such_a_course_would_spend(course: Course, seeded: Decimal) -> None:
    assert check_books() == []
    assert Decimal(7_000) < seeded < Decimal(12_000)
    assert Budget.objects.get(level=Level.COURSE).spent_usd == seeded


def test_nobody_and_nothing_is_over_its_cap_at_any_level(course: Course) -> None:
    assert not Budget.objects.filter(spent_usd__gt=F("amount_usd")).exists()
    assert not Budget.objects.exclude(held_usd=0).exists()
    assert not Budget.objects.exclude(overrun_usd=0).exists()
    assert Budget.objects.get(level=Level.SPONSOR).amount_usd == 30_000
    assert set(Budget.objects.filter(level=Level.TEAM).values_list("amount_usd", flat=True)) == {Decimal(1500)}
    assert Budget.objects.filter(level=Level.PERSON, amount_usd=300).count() == 104  # two came late


def test_it_has_the_size_and_the_people_of_the_real_course(course: Course) -> None:
    active = Enrollment.objects.filter(status=EnrollmentStatus.ACTIVE)
    assert active.filter(role=Role.STUDENT, team__isnull=False).count() == 100
    assert active.filter(role=Role.TA).count() == active.filter(role=Role.INSTRUCTOR).count() == 2
    sizes = Team.objects.annotate(size=Count("members")).values_list("size", flat=True)
    assert set(sizes) == {3, 4, 5}
    assert 18 <= len(sizes) <= 22
    assert Milestone.objects.count() == 15
    for person in people.PEOPLE:
        lines = Enrollment.objects.filter(email=person.email, user__email=person.email, role=person.role or "none")
        assert lines.exists() == bool(person.role)
    assert _line(people.STUDENT.email).team == _line(people.SECOND_STUDENT.email).team


def test_nothing_runs_and_nothing_is_left_for_any_sweep(course: Course) -> None:
    assert not Instance.objects.exclude(state__in=ENDED).exists()
    assert not Instance.objects.filter(Q(disk_settled_at=None) | Q(created_at__gt=NOW) | Q(disk_until__gt=NOW)).exists()
    assert not Run.objects.filter(Q(settled_at=None) | Q(ended_at=None) | Q(ended_at__gt=NOW)).exists()
    assert not InstanceEvent.objects.exclude(mail_to="").filter(mailed_at=None).exists()
    assert not InstanceEvent.objects.filter(at__gt=NOW).exists()
    assert not Hold.objects.filter(closed_at=None).exists()
    assert not MoneyMove.objects.filter(amount_usd__lt=0).exists()


def test_every_timeline_is_one_that_the_portal_could_have_written(course: Course) -> None:
    machines = Instance.objects.prefetch_related("events")
    assert machines.count() > 700
    for machine in machines:
        moves = [event for event in machine.events.all() if event.kind == InstanceEvent.Kind.MOVED]
        assert moves[0].new_state == "requested"
        assert moves[-1].new_state == machine.state
        assert all(a.new_state == b.old_state and may_move(b.old_state, b.new_state) for a, b in pairwise(moves))


def test_whoever_was_stopped_by_the_guard_had_been_warned_ten_minutes_before(course: Course) -> None:
    stops = InstanceEvent.objects.filter(new_state="stopping", who=None).order_by("?")[:200]
    assert len(stops) == 200
    for stop in stops:
        warned = InstanceEvent.objects.filter(instance=stop.instance, kind="warned", at__lt=stop.at).latest("at")
        assert timedelta(minutes=10) <= stop.at - warned.at < timedelta(minutes=11)
        assert warned.mail_to == Enrollment.objects.get(instances=stop.instance).email


def test_the_first_guard_has_proved_itself_and_the_others_have_not_had_to_yet(course: Course) -> None:
    [proof] = GuardProof.objects.filter(course=course)
    stops = InstanceEvent.objects.filter(new_state="stopping", who=None)
    ended = Run.objects.exclude(ended_by="")
    assert set(ended.values_list("ended_by", flat=True)) == {"sweeps"}
    assert ended.count() == stops.count()
    assert sum(past.by_rule for past in past_of(course)) == stops.count()
    assert (proof.guard, proof.by_drill) == ("sweeps", False)
    assert ended.filter(instance=proof.instance, ended_at=proof.at).exists()


def test_most_codes_are_claimed_and_the_visitor_can_claim_one(course: Course) -> None:
    everyone = CodeBatch.objects.get(name="Welcome credit")
    assert everyone.codes.filter(status__in=("claimed", "redeemed")).count() > 80
    assert CreditCode.objects.filter(batch__purpose="prize", status="claimed").count() == 9
    maya = _line(people.STUDENT.email)
    offers = {offer.batch.name: offer.refusal for offer in claimable(maya, NOW)}
    assert offers == {"Welcome credit": None, "Project credit": "not open yet"}
    assert not codes_of(maya).exists()
    code = claim(maya, everyone, who=maya.user, address=None, now=NOW)
    assert reveal(code, who=maya.user, why="", address=None, now=NOW).startswith("DEMO")


def test_the_visitor_has_a_history_and_money_left_for_every_preset(course: Course) -> None:
    for person in (people.STUDENT, people.SECOND_STUDENT, people.TA, people.INSTRUCTOR):
        line = _line(person.email)
        for preset in Preset.objects.all():
            assert request_launch(line, preset, who=line.user, now=NOW).state == "requested"
    maya = _line(people.STUDENT.email)
    assert maya.instances.exclude(state="requested").count() > 8
    assert maya.budget.left_usd > 50
    assert check_books() == []


def test_the_staffs_money_pages_have_something_to_show(course: Course) -> None:
    """Told by the portal's own rules: differences with their causes, what was booked, alarms, a release, a halt."""
    causes = set(Drift.objects.exclude(cause="none").values_list("cause", flat=True))
    assert causes >= {"price", "untagged", "foreign", "other", "transfer"}
    assert Correction.objects.filter(cause="price").exists()
    assert upcoming(course).count() == Team.objects.count()
    assert set(Alarm.objects.filter(cleared_at__lt=NOW).values_list("kind", flat=True)) == {"forecast", "credit"}
    assert not Halt.objects.filter(lifted_at=None).exists()
    assert not ChatChannel.objects.filter(enabled=True).exists()  # nothing of a demo goes out


def test_idleness_can_be_watched_in_about_two_minutes(course: Course) -> None:
    policy = Policy.objects.get(course=course)
    assert policy.quiet_seconds <= 120
    assert policy.report_seconds * 3 <= policy.warn_seconds < policy.quiet_seconds
    assert set(Preset.objects.values_list("lease_seconds", flat=True)) == {900}


def test_seeding_again_changes_nothing(course: Course) -> None:
    before = [model.objects.count() for model in COUNTED]
    assert seed(NOW + timedelta(days=30)) is None
    assert [model.objects.count() for model in COUNTED] == before
