"""What AWS offers, looked at seldom: prices, presets, quotas asked for, others' machines, warnings before the term."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command

from cloud.base import Refused, Transient
from courses.models import Course, Enrollment
from credits.letters import Letter
from instances import preflight, pricing, sweeps
from instances.foreign import foreign_machines, stray_machines
from instances.models import ForeignMachine, Preset, PresetCheck, QuotaAsk, StrayMachine, TypePrice
from instances.preflight_rules import Wanted, lines, shortages, warning_due
from tests.instances.conftest import Stage

G = "L-DB2E81BA"
BUSY = Transient("busy", code="RequestLimitExceeded")


def look(stage: Stage) -> None:
    sweeps.offers(stage.cloud, stage.now)


def days(stage: Stage, count: float) -> None:
    stage.now += timedelta(days=count)
    look(stage)


# ------------------------------------------------------------------ prices
def test_prices_of_presets_are_read_once_a_week_and_new_launches_pay_them(stage: Stage) -> None:
    look(stage)
    asked = stage.cloud.count("price")
    assert asked == 2
    stage.cloud.catalog.prices["g4dn.xlarge"] = Decimal("0.60")
    days(stage, 6)
    assert stage.cloud.count("price") == asked
    days(stage, 2)
    assert stage.launch().price_usd_hour == Decimal("0.60")


def test_a_machine_keeps_the_price_that_it_was_launched_at(stage: Stage) -> None:
    row = stage.running()
    TypePrice.objects.create(
        region="us-east-1", instance_type="g4dn.xlarge", usd_hour=Decimal("0.9"), read_at=stage.now
    )
    stage.wait(2)
    row.refresh_from_db()
    assert row.price_usd_hour == Decimal("0.526")
    assert row.runs.get().price_usd_hour == Decimal("0.526")


@pytest.mark.parametrize("told", [None, Decimal("0.0001"), Decimal(500)])
def test_a_price_that_is_missing_or_in_doubt_is_not_taken(stage: Stage, told: Decimal | None) -> None:
    stage.cloud.catalog.prices["g4dn.xlarge"] = told
    found = pricing.refresh(["g4dn.xlarge"], cloud=stage.cloud, now=stage.now)
    assert found.unknown + found.doubtful == ["g4dn.xlarge"]
    assert pricing.prices_of(["g4dn.xlarge"]) == {"g4dn.xlarge": Decimal("0.526")}


def test_a_price_that_aws_does_not_tell_now_is_asked_for_in_the_next_round(stage: Stage) -> None:
    stage.cloud.break_before("price", BUSY, times=2)
    look(stage)
    assert TypePrice.objects.count() == 0
    look(stage)
    assert TypePrice.objects.count() == 2


def test_where_the_snapshot_is_not_from_a_type_is_unknown_until_it_was_read(stage: Stage, settings) -> None:
    settings.AWS_REGION = "eu-north-1"
    assert pricing.prices_of(["g4dn.xlarge"]) == {"g4dn.xlarge": None}
    pricing.refresh(["g4dn.xlarge"], cloud=stage.cloud, now=stage.now)
    assert pricing.prices_of(["g4dn.xlarge"]) == {"g4dn.xlarge": Decimal("0.526")}


def test_the_command_says_what_changed(stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    stage.cloud.catalog.prices["g4dn.xlarge"] = Decimal("0.60")
    monkeypatch.setattr("instances.management.commands.refresh_prices.cloud", lambda: stage.cloud)
    call_command("refresh_prices", "g4dn.xlarge", "x9.nonesuch")
    told = capsys.readouterr().out
    assert "g4dn.xlarge: 0.526" in told
    assert "not in the list: x9.nonesuch" in told


# ------------------------------------------------------------------ presets
def verdict(stage: Stage) -> PresetCheck:
    return PresetCheck.objects.get(preset=stage.preset)


def test_a_preset_is_checked_daily_and_says_what_is_missing(stage: Stage) -> None:
    look(stage)
    assert (verdict(stage).verdict, verdict(stage).words) == ("ready", "Ready: g4dn.xlarge, g6.xlarge")
    stage.cloud.vcpu_quota = 0
    days(stage, 0.5)
    assert verdict(stage).verdict == "ready"
    days(stage, 0.6)
    assert verdict(stage).verdict == "no-quota"
    assert "ask AWS for at least 4 vCPUs of “Running On-Demand G and VT instances”" in verdict(stage).words
    assert "(L-DB2E81BA) to 4 vCPUs, for 1 × g4dn.xlarge" in verdict(stage).request


def test_a_spot_preset_is_judged_by_spots_quota(stage: Stage) -> None:
    stage.cloud.catalog.vcpus["L-3819A6DF"] = 0
    look(stage)
    assert verdict(stage).verdict == "ready"
    Preset.objects.update(market=Preset.Market.SPOT)
    days(stage, 1.1)
    assert verdict(stage).verdict == "no-quota"
    assert "ask AWS for at least 4 vCPUs of “All G and VT Spot Instance Requests”" in verdict(stage).words


@pytest.mark.parametrize(
    ("change", "verdict_"),
    [({"instance_types": ["g5.xlarge"]}, "no-price"), ({"image_id": "ami-gone"}, "no-image")],
)
def test_other_things_that_stand_in_the_way(stage: Stage, change: dict[str, object], verdict_: str) -> None:
    stage.cloud.images = ["ami-course"]
    Preset.objects.update(**change)
    look(stage)
    assert verdict(stage).verdict == verdict_


def test_a_type_that_is_offered_nowhere(stage: Stage) -> None:
    stage.cloud.offerings = {"g4dn.xlarge": (), "g6.xlarge": ()}
    look(stage)
    assert verdict(stage).verdict == "not-offered"


def test_what_aws_does_not_say_is_asked_within_the_hour(stage: Stage) -> None:
    stage.cloud.break_before("quota", BUSY)
    look(stage)
    assert verdict(stage).verdict == "unknown"
    days(stage, 0.05)
    assert verdict(stage).verdict == "ready"


# ------------------------------------------------------------------ preflight
def wanted(**more: object) -> Wanted:
    return replace(Wanted("Homework", "g4dn.xlarge", 4, 3, G, "G and VT", 128), **more)


def test_what_a_class_needs() -> None:
    [line] = lines([wanted()], 100, 60)
    assert (line.machines, line.vcpus_needed, line.missing, line.fits) == (60, 240, 112, 32)
    assert lines([wanted()], 3, 50)[0].machines == 2  # nobody is half a machine
    assert lines([wanted(vcpus_allowed=None)], 100, 60)[0].missing is None


def test_of_each_quota_the_largest_need_is_asked_for() -> None:
    found = lines([wanted(), wanted(preset="Project", vcpus=8), wanted(quota_code="P", vcpus_allowed=10**6)], 100, 60)
    assert [line.wanted.preset for line in shortages(found)] == ["Project"]


@pytest.mark.parametrize(
    ("ahead", "due"), [(40, None), (29, None), (28, 28), (20, 28), (14, 14), (3, 7), (0, 0), (-9, 0)]
)
def test_warnings_come_weeks_early(stage: Stage, ahead: int, due: int | None) -> None:
    today = stage.now.date()
    assert warning_due(today + timedelta(days=ahead), today) == due


def test_instructors_hear_of_a_quota_that_is_too_small_once_for_each_week(stage: Stage) -> None:
    course = stage.cast.course
    Course.objects.filter(pk=course.pk).update(starts_on=stage.now.date() + timedelta(days=20))
    stage.cloud.vcpu_quota = 4
    look(stage)
    look(stage)
    [letter] = Letter.objects.filter(key__startswith="preflight/")
    assert letter.to == stage.cast.instructor.email
    assert "AWS allows 4 of “Running On-Demand G and VT instances”: that is 1 machines" in letter.body
    days(stage, 7)
    assert Letter.objects.filter(key__startswith="preflight/").count() == 2


def test_a_larger_quota_is_asked_for_once_and_its_answer_is_followed(stage: Stage) -> None:
    stage.cloud.vcpu_quota = 8
    who = stage.cast.instructor.user
    ask = preflight.request_quota(stage.cast.course, G, 400, had=8, who=who, now=stage.now)
    with pytest.raises(preflight.AskRefused, match="already"):
        preflight.request_quota(stage.cast.course, G, 500, had=8, who=who, now=stage.now)
    preflight.send(ask.pk, cloud=stage.cloud, now=stage.now)
    ask.refresh_from_db()
    assert (ask.status, ask.request_id) == ("PENDING", "request-1")
    stage.cloud.catalog.decide(G, "APPROVED")
    days(stage, 0.1)
    ask.refresh_from_db()
    assert ask.status == "APPROVED"


@pytest.mark.parametrize("moment", ["break_before", "break_after"])
def test_a_lost_answer_asks_aws_for_nothing_twice(stage: Stage, moment: str) -> None:
    stage.cloud.vcpu_quota = 8
    ask = preflight.request_quota(stage.cast.course, G, 400, had=8, who=stage.cast.instructor.user, now=stage.now)
    getattr(stage.cloud, moment)("ask_quota", BUSY)
    preflight.send(ask.pk, cloud=stage.cloud, now=stage.now)
    look(stage)
    ask.refresh_from_db()
    assert ask.status == "PENDING"
    assert len(stage.cloud.catalog.asked) == 1


def test_a_request_that_aws_refuses_says_so(stage: Stage) -> None:
    ask = preflight.request_quota(stage.cast.course, G, 400, had=8, who=stage.cast.instructor.user, now=stage.now)
    stage.cloud.break_before("ask_quota", Refused("not allowed", code="AccessDeniedException"))
    preflight.send(ask.pk, cloud=stage.cloud, now=stage.now)
    assert "not allowed" in QuotaAsk.objects.get().problem


@pytest.mark.parametrize("vcpus", [0, 8, 10**7])
def test_a_senseless_number_is_refused_before_aws_is_asked(stage: Stage, vcpus: int) -> None:
    with pytest.raises(preflight.AskRefused):
        preflight.request_quota(stage.cast.course, G, vcpus, had=8, who=stage.cast.instructor.user, now=stage.now)


# ------------------------------------------------------------------ machines that are not ours
def test_gpu_machines_of_others_are_shown_with_their_cost_and_never_touched(stage: Stage) -> None:
    row = stage.running()
    theirs = replace(stage.machine(row).view(), cloud_id="i-theirs", name="experiment", tags={})
    stage.cloud.catalog.foreign = [theirs]
    days(stage, 0.1)
    [one] = foreign_machines(stage.now)
    assert (one.cloud_id, one.usd_hour) == ("i-theirs", Decimal("0.526"))
    assert one.so_far_usd > 1
    days(stage, 0.02)
    assert stage.cloud.count("gpu_machines") == 1  # once an hour
    orders = {op for op, args in stage.cloud.faults.calls if "i-theirs" in str(args)}
    assert orders == set()
    stage.cloud.catalog.foreign = []
    days(stage, 0.1)
    assert not ForeignMachine.objects.exists()


def test_when_aws_does_not_say_nothing_is_forgotten(stage: Stage) -> None:
    row = stage.running()
    stage.cloud.catalog.foreign = [replace(stage.machine(row).view(), cloud_id="i-theirs")]
    look(stage)
    stage.cloud.break_before("gpu_machines", BUSY)
    days(stage, 0.1)
    assert ForeignMachine.objects.count() == 1


def test_a_stray_is_shown_with_what_it_costs(stage: Stage) -> None:
    seen = {"first_seen_at": stage.now, "last_seen_at": stage.now + timedelta(hours=1)}
    StrayMachine.objects.create(cloud_id="i-1", instance_type="g4dn.xlarge", cloud_state="running", **seen)
    StrayMachine.objects.create(cloud_id="i-2", instance_type="x9.nonesuch", cloud_state="running", **seen)
    StrayMachine.objects.create(cloud_id="i-3", instance_type="g4dn.xlarge", cloud_state="stopped", **seen)
    stage.later(2 * 3600)  # nobody has seen it since
    found = {one.cloud_id: (one.usd_hour, one.so_far_usd) for one in stray_machines(stage.now)}
    assert found == {"i-1": (Decimal("0.526"), Decimal("0.526")), "i-2": (None, None), "i-3": (0, 0)}


def test_people_who_are_counted_are_active_students(stage: Stage) -> None:
    before = preflight.preflight(stage.cast.course).students
    Enrollment.objects.filter(pk=stage.cast.student.pk).update(status="dropped")
    assert preflight.preflight(stage.cast.course).students == before - 1
