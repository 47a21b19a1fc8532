"""Presets as data: for whom, how many per team, allowed launch by launch, how long at most, from which image."""

from datetime import timedelta
from decimal import Decimal

import pytest

from courses.models import Enrollment, Team
from credits.entitlement import Rule
from instances import approvals, services, sweeps
from instances.approvals import ApprovalRefused
from instances.launch_rules import CourseDates, Kind, Person, Refusal, refusal
from instances.models import Instance, LaunchApproval, Preset
from instances.preset_verdict import TypeFound, Verdict, judge
from instances.refusals import KeepRefused, LaunchRefused
from tests.instances.conftest import HOUR, NOON, Stage, check_books, events, fresh

DATES = CourseDates(NOON.date(), NOON.date() + timedelta(days=50), "UTC")


def kind(**more: object) -> Kind:
    return Kind(True, 2, Decimal(1), [("g4dn.xlarge", Decimal("0.5"))], **more)


def person(role: str = "student", **more: object) -> Person:
    return Person(role, True, 0, **more)


@pytest.mark.parametrize(
    ("who", "rule", "refused"),
    [
        (person(), Rule(roles=("student",)), None),
        (person(), Rule(roles=("ta",)), Refusal.NOT_FOR_YOU),
        (person("ta"), Rule(roles=("student",), sections=("B",)), None),  # who answers for it can try it out
        (person(section="A"), Rule(roles=("student",), sections=("A", "B")), None),
        (person(section="C"), Rule(roles=("student",), sections=("A", "B")), Refusal.NOT_FOR_YOU),
        (person(), Rule(roles=("student",), with_team=True), Refusal.NOT_FOR_YOU),
        (person(team="One"), Rule(roles=("student",), with_team=True), None),
        (person(team="One"), Rule(roles=("student",), teams=("Two",)), Refusal.NOT_FOR_YOU),
        (person(), Rule(roles=()), Refusal.NOT_FOR_YOU),
    ],
)
def test_for_whom(who: Person, rule: Rule, refused: Refusal | None) -> None:
    assert refusal(who, DATES, kind(audience=rule), NOON) == refused


def test_leave_is_asked_last_and_staff_need_none() -> None:
    assert refusal(person(), DATES, kind(needs_approval=True), NOON) is Refusal.NEEDS_APPROVAL
    assert refusal(person(allowed=True), DATES, kind(needs_approval=True), NOON) is None
    assert refusal(person("ta"), DATES, kind(needs_approval=True), NOON) is None
    full = person(team="One", team_machines=3)
    assert refusal(full, DATES, kind(needs_approval=True, per_team=3), NOON) is Refusal.TEAM_FULL


# ------------------------------------------------------------------ with rows
def change(stage: Stage, **values: object) -> None:
    Preset.objects.filter(pk=stage.preset.pk).update(**values)
    stage.preset.refresh_from_db()


def test_a_rule_that_cannot_be_read_is_for_nobody(stage: Stage) -> None:
    change(stage, audience={"planets": ["Mars"]})
    with pytest.raises(LaunchRefused, match="for other people"):
        stage.click_launch()


def test_a_team_has_so_many_at_once_whoever_of_it_clicks(stage: Stage) -> None:
    team = Team.objects.create(course=stage.cast.course, name="Pair")
    Enrollment.objects.filter(pk__in=[stage.cast.student.pk, stage.cast.other_student.pk]).update(team=team)
    change(stage, per_team=1)
    stage.cast.student.refresh_from_db()
    from spend.models import Budget

    Budget.objects.update(amount_usd=10**6)
    stage.click_launch()
    with pytest.raises(LaunchRefused, match="Your team already has 1"):
        stage.click_launch(stage.cast.other_student)


def stopped(stage: Stage, who: Enrollment) -> Instance:
    row = stage.stop(stage.running(who))
    assert stage.wait(10, until=lambda: fresh(row).state == "stopped")
    return row


def start(stage: Stage, row: Instance) -> Instance:
    return services.request_start(row, who=row.owner.user, now=stage.now)


@pytest.mark.parametrize(
    "narrowed", [{}, {"audience": {"sections": ["B"]}}, {"enabled": False}, {"needs_approval": True}], ids=str
)
def test_what_is_offered_to_others_still_starts_and_not_more_of_it_than_at_once(
    stage: Stage, narrowed: dict[str, object]
) -> None:
    first, second = (stopped(stage, stage.cast.student) for _n in range(2))
    change(stage, per_person=1, **narrowed)
    start(stage, fresh(first))
    with pytest.raises(LaunchRefused, match="no more at once"):
        start(stage, fresh(second))


def test_a_team_starts_no_more_than_at_once(stage: Stage) -> None:
    team = Team.objects.create(course=stage.cast.course, name="Pair")
    pair = Enrollment.objects.filter(pk__in=[stage.cast.student.pk, stage.cast.other_student.pk])
    rows = [stopped(stage, one) for one in pair]
    pair.update(team=team)
    change(stage, per_team=1, audience={"sections": ["B"]})
    start(stage, fresh(rows[0]))
    with pytest.raises(LaunchRefused, match="Your team already has 1"):
        start(stage, fresh(rows[1]))


def allow(stage: Stage) -> LaunchApproval:
    asked = approvals.ask(stage.cast.student, stage.preset, why="four GPUs for the lecture", now=stage.now)
    approvals.decide(asked, allow=True, note="", who=stage.cast.instructor.user, now=stage.now)
    asked.refresh_from_db()
    return asked


def test_a_yes_is_good_for_one_launch(stage: Stage) -> None:
    change(stage, needs_approval=True, per_person=5)
    with pytest.raises(LaunchRefused, match="only when the course staff allows it"):
        stage.click_launch()
    asked = allow(stage)
    row = stage.click_launch()
    asked.refresh_from_db()
    assert (asked.status, asked.instance) == ("used", row)
    with pytest.raises(LaunchRefused):
        stage.click_launch()


def test_a_yes_whose_launch_came_to_nothing_is_good_again(stage: Stage) -> None:
    change(stage, needs_approval=True)
    allow(stage)
    row = stage.click_launch()
    services.request_stop(row, reason="never mind", who=row.owner.user, now=stage.now)
    assert stage.click_launch().state == "requested"


def test_a_yes_ends_after_a_week_and_can_be_asked_for_again(stage: Stage) -> None:
    change(stage, needs_approval=True)
    allow(stage)
    stage.now += timedelta(days=8)
    with pytest.raises(LaunchRefused):
        stage.click_launch()
    allow(stage)
    stage.click_launch()


def test_asking_twice_or_for_nothing_is_refused_and_a_no_needs_a_reason(stage: Stage) -> None:
    change(stage, needs_approval=True)
    with pytest.raises(ApprovalRefused, match="Say what you need it for"):
        approvals.ask(stage.cast.student, stage.preset, why="  ", now=stage.now)
    asked = approvals.ask(stage.cast.student, stage.preset, why="x", now=stage.now)
    with pytest.raises(ApprovalRefused, match="already"):
        approvals.ask(stage.cast.student, stage.preset, why="y", now=stage.now)
    with pytest.raises(ApprovalRefused, match="reason"):
        approvals.decide(asked, allow=False, note="", who=stage.cast.instructor.user, now=stage.now)
    approvals.decide(asked, allow=False, note="too dear", who=stage.cast.instructor.user, now=stage.now)
    with pytest.raises(ApprovalRefused, match="answered already"):
        approvals.decide(asked, allow=True, note="", who=stage.cast.instructor.user, now=stage.now)


def test_a_run_is_never_longer_than_its_preset_allows_however_it_is_used(stage: Stage) -> None:
    change(stage, longest_seconds=6 * HOUR)
    row = stage.running()
    began = row.runs.get().started_at
    stage.active.add(row.slug)
    assert stage.wait(7 * 60, until=lambda: fresh(row).state == "stopped", step=5)
    run = row.runs.get()
    assert run.ended_at - began <= timedelta(hours=6, minutes=5)
    assert "as long as its preset may" in fresh(row).reason
    assert any("runs for 6 hours at a time at most" in event.reason for event in events(row, "money"))
    check_books()


def test_keeping_does_not_go_beyond_the_longest_run(stage: Stage) -> None:
    change(stage, longest_seconds=5 * HOUR)
    row = stage.running()
    until = services.keep_alive(row, hours=8, who=row.owner.user, now=stage.now)
    assert until == row.runs.get().started_at + timedelta(hours=5)
    stage.now = until + timedelta(seconds=1)
    with pytest.raises(KeepRefused, match="at a time at most"):
        services.keep_alive(row, hours=1, who=row.owner.user, now=stage.now)


# ------------------------------------------------------------------ image
def test_the_image_is_of_this_region_and_frozen_with_the_click(stage: Stage) -> None:
    change(stage, images={"us-east-1": "ami-east", "us-west-2": "ami-west"})
    row = stage.click_launch()
    assert row.image_id == "ami-east"
    change(stage, images={"us-east-1": "ami-newer"})
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    assert stage.machine(row).spec.image_id == "ami-east"


def test_an_image_by_parameter_is_resolved_once(stage: Stage) -> None:
    change(stage, image_id="", image_parameters=["/not/here", "/course/ami-id"])
    stage.cloud.catalog.images["/course/ami-id"] = "ami-monday"
    stage.cloud.fill()
    row = stage.launch()
    assert row.image_id == "ami-monday"
    stage.cloud.catalog.images["/course/ami-id"] = "ami-tuesday"
    stage.cloud.empty()
    stage.later(60)
    sweeps.queue(stage.cloud, stage.now)
    assert stage.machine(row).spec.image_id == "ami-monday"


def test_an_image_that_no_parameter_names_fails_in_words(stage: Stage) -> None:
    change(stage, image_id="", image_parameters=["/not/here"])
    row = stage.launch()
    assert (row.state, row.reason) == ("failed", "The image of this preset is not to be had in this region.")
    check_books()


# ------------------------------------------------------------------ can it be had?
def found(name: str = "g4dn.xlarge", **more: object) -> TypeFound:
    usual = {"zones": ("a",), "usd_hour": Decimal("0.5"), "vcpus": 4, "quota_code": "L-1", "quota_name": "G"}
    return TypeFound(instance_type=name, **{**usual, "vcpus_allowed": 400, **more})


@pytest.mark.parametrize(
    ("types", "verdict"),
    [
        ([found()], Verdict.READY),
        ([found(zones=())], Verdict.NOT_OFFERED),
        ([found(vcpus_allowed=0)], Verdict.NO_QUOTA),
        ([found(vcpus_allowed=3)], Verdict.NO_QUOTA),
        ([found(vcpus_allowed=None)], Verdict.UNKNOWN),
        ([found(usd_hour=None)], Verdict.NO_PRICE),
        ([found(usd_hour=Decimal(2))], Verdict.NO_PRICE),
        ([found(zones=()), found("g6.xlarge")], Verdict.READY),
        ([found(vcpus_allowed=0), found("p4d.24xlarge", vcpus_allowed=96)], Verdict.READY),
        ([], Verdict.NO_PRICE),
    ],
)
def test_whether_a_preset_can_be_had(types: list[TypeFound], verdict: Verdict) -> None:
    assert judge(types, Decimal(1), has_image=True).verdict is verdict


def test_without_an_image_nothing_else_matters() -> None:
    assert judge([found()], Decimal(1), has_image=False).verdict is Verdict.NO_IMAGE
