"""Spot and on demand have machines and quotas of their own: who waits for one keeps nobody from the other."""

import pytest
from pytest_django import DjangoAssertNumQueries

from cloud.base import AccountBlocked, NoCapacity
from courses.models import Enrollment
from instances.models import Instance, Preset
from instances.queue_rules import Estimate
from instances.queueing import lanes_ahead
from instances.standing import standing_of
from tests.instances.conftest import Stage, check_books, events, fresh
from tests.instances.test_queue import minutes, other_preset, waiting

SPOT_G = "L-3819A6DF"


@pytest.fixture
def both(stage: Stage) -> Stage:
    """Two presets of the same types in one account. AWS allows no Spot at all, as it does at first."""
    other_preset(stage, "on-demand", *stage.preset.instance_types)
    spot = other_preset(stage, "spot", *stage.preset.instance_types)
    Preset.objects.filter(pk=spot.pk).update(market=Preset.Market.SPOT)
    stage.cloud.catalog.vcpus[SPOT_G] = 0
    return stage


def of(stage: Stage, slug: str) -> Stage:
    stage.preset = Preset.objects.get(slug=slug)
    return stage


def no_capacity(stage: Stage, *, spot: bool) -> None:
    stage.cloud.catalog.vcpus.clear()
    error = NoCapacity("none there", code="InsufficientInstanceCapacity")
    stage.cloud.break_before("run", error, times=None, when=lambda spec: bool(spec.spot_usd_hour) == spot)


def test_who_waits_for_spots_quota_keeps_nobody_from_a_machine_on_demand(both: Stage) -> None:
    row = waiting(of(both, "spot"))
    assert row.queued_for == "quota"
    assert of(both, "on-demand").launch(both.cast.other_student).cloud_id


def test_who_waits_for_a_spot_machine_keeps_nobody_from_one_on_demand(both: Stage) -> None:
    no_capacity(both, spot=True)
    row = waiting(of(both, "spot"))
    assert row.queued_for == "capacity"
    assert of(both, "on-demand").launch(both.cast.other_student).cloud_id


def test_who_waits_for_a_machine_on_demand_keeps_nobody_from_spot(both: Stage) -> None:
    no_capacity(both, spot=False)
    waiting(of(both, "on-demand"))
    assert of(both, "spot").launch(both.cast.other_student).spot_request


def test_in_one_market_nobody_overtakes_as_ever(both: Stage) -> None:
    first = waiting(of(both, "spot"))
    both.later(60)
    both.cloud.catalog.vcpus[SPOT_G] = 4
    second = waiting(both, both.cast.other_student)
    minutes(both, 1)
    assert fresh(first).cloud_id
    assert fresh(second).state == "requested"


@pytest.mark.parametrize("first", ["spot", "on-demand"])
def test_the_round_serves_one_market_while_the_other_waits(both: Stage, first: str) -> None:
    both.cloud.catalog.vcpus.clear()
    both.cloud.fill()
    ahead = waiting(of(both, first))
    both.later(60)
    behind = waiting(of(both, "on-demand" if first == "spot" else "spot"), both.cast.other_student)
    both.cloud.empty()
    no_capacity(both, spot=first == "spot")
    minutes(both, 1)
    assert fresh(behind).cloud_id
    assert fresh(ahead).state == "requested"


def test_a_spot_type_that_counts_in_another_of_spots_quotas_is_tried(both: Stage) -> None:
    both.cloud.catalog.vcpus |= {"L-7212CCBC": 0, "L-C4BD4855": 96}
    preset = other_preset(both, "large", "p4d.24xlarge", "p5.4xlarge")
    Preset.objects.filter(pk=preset.pk).update(market=Preset.Market.SPOT)
    # On demand both would count in the quota that is full.
    assert of(both, "large").launch().instance_type == "p5.4xlarge"


def test_a_blocked_account_launches_neither(both: Stage) -> None:
    both.cloud.break_before("run", AccountBlocked("pending", code="PendingVerification"), times=None)
    waiting(of(both, "spot"))
    waiting(of(both, "on-demand"), both.cast.other_student)
    assert both.cloud.count("run") == 1


# ------------------------------------------------------------------ what people read
def test_a_place_counts_nobody_of_the_other_market(both: Stage) -> None:
    first = waiting(of(both, "spot"))
    both.cloud.fill()
    other = waiting(of(both, "on-demand"), both.cast.other_student)
    both.later(60)
    second = waiting(of(both, "spot"), both.cast.ta)
    places = [standing_of(row, both.now).place for row in (first, other, second)]
    assert places == [1, 1, 2]


def test_whoever_waits_places_take_one_question_to_the_database(
    both: Stage, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    rows = [waiting(of(both, "spot"), who) for who in (both.cast.student, both.cast.other_student, both.cast.ta)]
    last = fresh(rows[-1])
    with django_assert_num_queries(1):
        lanes_ahead(last)
    with django_assert_num_queries(2):  # and one for the estimate
        standing_of(last, both.now)


def test_an_estimate_comes_from_those_who_waited_in_the_same_market(both: Stage) -> None:
    row = waiting(of(both, "spot"))
    people = [both.cast.other_student, both.cast.ta, both.cast.instructor]
    served = [of(both, "on-demand").launch(who) for who in people]
    Instance.objects.filter(pk__in=[one.pk for one in served]).update(queued_at=both.now)
    assert standing_of(row, both.now).estimate is None
    Instance.objects.filter(pk__in=[one.pk for one in served]).update(spot=True)
    assert isinstance(standing_of(row, both.now).estimate, Estimate)


def test_staff_hear_of_spots_quota_with_its_own_numbers(both: Stage) -> None:
    of(both, "on-demand").running(both.cast.instructor)  # counts in another quota
    both.cloud.fill()
    waiting(both, both.cast.other_student)  # for another
    both.cloud.empty()
    row = waiting(of(both, "spot"))
    [told] = [e for e in events(row, "trouble") if e.mail_to]
    assert "“All G and VT Spot Instance Requests (L-3819A6DF)” is full: 0 vCPUs are allowed" in told.reason
    assert "our own machines use 0" in told.reason
    assert "Waiting: 1." in told.reason
    assert (told.facts["quota"], told.facts["allowed"], told.facts["used"]) == (SPOT_G, 0, 0)


def test_staff_hear_of_a_quota_on_demand_without_the_spot_machines(both: Stage) -> None:
    both.cloud.catalog.vcpus = {SPOT_G: 8, "L-DB2E81BA": 4, "L-417A185B": 0}
    other_preset(both, "large", "p4d.24xlarge")
    waiting(of(both, "large"), both.cast.other_student)  # for another quota
    of(both, "spot").running(both.cast.instructor)
    of(both, "on-demand").running(both.cast.ta)
    [told] = events(waiting(both), "trouble")
    assert (told.facts["allowed"], told.facts["used"]) == (4, 4)
    assert "Waiting: 1." in told.reason


def test_of_both_full_quotas_staff_hear_each_once(both: Stage) -> None:
    both.cloud.vcpu_quota = 0
    rows = [waiting(of(both, "spot")), waiting(of(both, "on-demand"), both.cast.other_student)]
    told = [e.facts["quota"] for row in rows for e in events(row, "trouble")]
    assert told == [SPOT_G, "L-DB2E81BA"]


@pytest.mark.parametrize("market", ["spot", "on-demand"])
def test_for_whom_aws_was_not_asked_yet_no_answer_of_aws_is_made_up(both: Stage, market: str) -> None:
    """The first one waits for the quota: that there are no free machines would be false, and perhaps for hours."""
    both.cloud.vcpu_quota = 0
    waiting(of(both, market))
    both.later(60)
    row = waiting(both, both.cast.other_student)
    assert row.reason.startswith("Others came before you for such a machine. You are in the queue")
    both.cloud.vcpu_quota, both.cloud.catalog.vcpus[SPOT_G] = 4, 4
    minutes(both, 2)
    said = "run no more Spot machines of this kind" if market == "spot" else "as many of these as AWS allows"
    assert said in fresh(row).reason


def in_words(stage: Stage, who: Enrollment | None = None) -> tuple[str, str]:
    row = waiting(stage, who)
    return events(row, "refused")[-1].reason, row.reason


def test_who_waits_for_spot_does_not_read_that_there_is_no_machine_at_all(both: Stage) -> None:
    full = in_words(of(both, "spot"))
    assert full[0].startswith("AWS lets the course's account run no more Spot machines like g4dn.xlarge at once.")
    assert full[1].startswith("AWS lets the course's account run no more Spot machines of this kind at once.")
    Instance.objects.update(state="terminated")
    no_capacity(both, spot=True)
    none = in_words(both, both.cast.other_student)
    assert none[0].startswith("AWS has no free Spot g6.xlarge in us-east-1c right now.")
    assert none[1].startswith("AWS has no free Spot machine of this kind right now. You are in the queue")
    check_books(metered=False)
