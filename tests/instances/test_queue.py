"""No machine free: a fair queue with a place, served by itself, left at any moment, and nothing charged for waiting."""

from datetime import timedelta
from decimal import Decimal

import pytest

from cloud.base import AccountBlocked, CloudError, QuotaReached, Transient
from courses.models import Course, Enrollment, EnrollmentStatus
from instances import services, sweeps
from instances.halts import Halt
from instances.models import Instance, Preset
from instances.queue_rules import LONGEST
from instances.standing import standing_of
from instances.steps import Mark, steps
from instances.sweeps.queueing import _Round
from spend.models import Budget
from spend.opening import open_budgets
from tests.instances.conftest import Stage, check_books, events, fresh, held

BUSY = Transient("busy", code="RequestLimitExceeded")


def queue(stage: Stage) -> None:
    sweeps.queue(stage.cloud, stage.now)


def minutes(stage: Stage, count: float) -> None:
    for _minute in range(int(count)):
        stage.later(60)
        queue(stage)
        stage.repair()


def waiting(stage: Stage, who: Enrollment | None = None) -> Instance:
    row = stage.launch(who)
    assert (row.state, row.cloud_id) == ("requested", "")
    assert row.queued_at
    return row


def other_preset(stage: Stage, slug: str, *types: str, ceiling: int = 50) -> Preset:
    changes = {"pk": None, "slug": slug, "instance_types": list(types), "ceiling_usd_hour": Decimal(ceiling)}
    changes |= {"lease_seconds": 3600}  # dear types must be affordable
    preset = Preset.objects.get(pk=stage.preset.pk)
    for name, value in changes.items():
        setattr(preset, name, value)
    preset.save(force_insert=True)
    return preset


def test_when_everything_is_full_the_student_waits_in_words_and_pays_nothing(stage: Stage) -> None:
    stage.cloud.fill()
    row = waiting(stage)
    assert row.reason.startswith("AWS has no free machine of this kind right now. You are in the queue")
    assert stage.cloud.count("run") == 6  # two types in three zones, each asked once
    assert held(row) > 0  # set aside, not charged
    minutes(stage, 30)
    assert not row.runs.exists()
    check_books()


def test_it_starts_by_itself_when_capacity_returns_and_a_mail_says_so(stage: Stage) -> None:
    stage.cloud.fill()
    row = waiting(stage)
    minutes(stage, 10)
    stage.cloud.empty()
    minutes(stage, 6)
    row = fresh(row)
    assert row.state == "running"
    [told] = [e for e in events(row, "queued") if e.mail_to]
    assert told.mail_to == row.owner.email
    assert told.reason.startswith("Your turn: AWS gave the machine after 1")
    check_books()


def test_each_try_is_a_new_question_with_a_new_token(stage: Stage) -> None:
    stage.cloud.fill()
    row = waiting(stage)
    minutes(stage, 1)
    tokens = [args[0].token for op, args in stage.cloud.faults.calls if op == "run"]
    assert tokens == [f"{row.slug}-{n + 1}" for n in range(12)]


def test_aws_is_asked_less_and_less_but_at_least_every_five_minutes(stage: Stage) -> None:
    stage.cloud.fill()
    waiting(stage)
    asked = []
    for _minute in range(20):
        before = stage.cloud.count("run")
        minutes(stage, 1)
        asked.append(stage.cloud.count("run") > before)
    assert [n + 1 for n, was in enumerate(asked) if was] == [1, 3, 7, 12, 17]


def test_who_came_first_is_served_first_and_nobody_overtakes(stage: Stage) -> None:
    stage.cloud.fill()
    first = waiting(stage)
    stage.later(1)
    second = waiting(stage, stage.cast.other_student)
    asked = stage.cloud.count("run")
    assert asked == 6  # the second was not asked for at all
    assert standing_of(second, stage.now).place == 2
    stage.cloud.empty()
    minutes(stage, 1)
    assert fresh(first).cloud_id
    assert fresh(second).cloud_id  # in the same round: there is room again
    assert fresh(first).disk_since <= fresh(second).disk_since


def test_a_newcomer_does_not_get_what_somebody_waits_for_even_if_it_is_free_by_now(stage: Stage) -> None:
    stage.cloud.fill()
    first = waiting(stage)
    stage.cloud.empty()
    newcomer = waiting(stage, stage.cast.other_student)
    assert newcomer.queue_tries == 0
    assert standing_of(newcomer, stage.now).place == 2
    minutes(stage, 1)
    assert fresh(first).cloud_id
    assert fresh(newcomer).cloud_id


def test_a_newcomer_gets_what_nobody_waits_for(stage: Stage) -> None:
    stage.cloud.fill(instance_type="g4dn.xlarge")
    stage.cloud.fill(instance_type="g6.xlarge")
    waiting(stage)
    stage.preset = other_preset(stage, "large", "g4dn.xlarge", "g5.xlarge")
    row = stage.launch(stage.cast.other_student)
    assert row.instance_type == "g5.xlarge"


def test_one_free_machine_goes_to_the_first_and_the_second_moves_up(stage: Stage) -> None:
    stage.cloud.vcpu_quota = 4
    running = stage.running(stage.cast.instructor)
    first = waiting(stage)
    stage.later(1)
    second = waiting(stage, stage.cast.other_student)
    stage.stop(running)
    minutes(stage, 2)
    assert fresh(first).state == "running"
    assert fresh(second).state == "requested"
    assert standing_of(fresh(second), stage.now).place == 1


def test_leaving_frees_all_and_moves_the_others_up(stage: Stage) -> None:
    stage.cloud.fill()
    first = waiting(stage)
    second = waiting(stage, stage.cast.other_student)
    assert services.request_stop(first, reason="Left the queue.", who=first.owner.user, now=stage.now)
    assert held(first) == 0
    assert standing_of(second, stage.now).place == 1
    stage.cloud.empty()
    minutes(stage, 1)
    assert fresh(first).state == "terminated"
    assert fresh(second).cloud_id
    check_books()


def test_whose_account_is_blocked_meanwhile_reads_so_and_is_asked_for_after_a_pause(stage: Stage) -> None:
    stage.cloud.fill()
    row = waiting(stage)
    stage.cloud.break_before("zones_offering", AccountBlocked("not yet verified", code="PendingVerification"), times=9)
    stage.later(300)
    queue(stage)
    row = fresh(row)
    assert (row.state, row.queued_for) == ("requested", "account")
    assert row.next_try_at == stage.now + timedelta(minutes=5)
    assert "account" in row.reason


def test_those_who_may_not_be_asked_for_take_nobodys_turn(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole class waits for one quota: who wants something else is served in the same round."""
    monkeypatch.setattr("instances.sweeps.queueing.AT_ONCE", 2)
    stage.cloud.vcpu_quota = 4
    stage.running(stage.cast.instructor)
    for who in (stage.cast.student, stage.cast.other_student, stage.cast.ta):
        waiting(stage, who)
    blocked = Instance.objects.filter(queued_at__isnull=False).order_by("queued_at")
    assert blocked.count() == 3
    stage.later(300)
    work = _Round(stage.cloud, stage.now)
    for row in blocked:
        work.serve(row)
    assert work.asked == 1


def test_leaving_while_aws_is_asked_leaves_no_machine(stage: Stage) -> None:
    stage.cloud.fill()
    row = waiting(stage)
    stage.cloud.empty()
    stage.cloud.on_call(
        "run", lambda _spec: services.request_stop(fresh(row), reason="changed my mind", who=None, now=stage.now)
    )
    minutes(stage, 4)
    assert fresh(row).state == "stopped"
    assert stage.alive() == []
    check_books()


def test_waiting_ends_after_half_a_day_in_words_by_mail_and_for_free(stage: Stage) -> None:
    stage.cloud.fill()
    row = waiting(stage)
    stage.now += LONGEST
    queue(stage)
    row = fresh(row)
    assert (row.state, held(row)) == ("failed", 0)
    assert row.reason == "No machine came free in 12 hours: your place has ended. Nothing was charged."
    assert events(row, "moved")[-1].mail_to == row.owner.email


def test_who_leaves_the_course_leaves_the_queue(stage: Stage) -> None:
    stage.cloud.fill()
    row = waiting(stage)
    Enrollment.objects.filter(pk=row.owner_id).update(status=EnrollmentStatus.DROPPED)
    minutes(stage, 1)
    assert (fresh(row).state, held(row)) == ("failed", 0)


def test_when_the_course_is_over_nobody_waits_any_more(stage: Stage) -> None:
    stage.cloud.fill()
    row = waiting(stage)
    Course.objects.update(ends_on=stage.now.date() - timedelta(days=1))
    stage.cloud.empty()
    minutes(stage, 1)
    assert fresh(row).state == "failed"
    assert stage.cloud.machines == {}


def test_while_the_course_is_halted_nobody_is_served_and_nobody_loses_a_place(stage: Stage) -> None:
    stage.cloud.fill()
    row = waiting(stage)
    stage.cloud.empty()
    halt = Halt.objects.create(course=row.course, reach="all", why="a leak", who=None, at=stage.now)
    minutes(stage, 3)
    assert fresh(row).state == "requested"
    Halt.objects.filter(pk=halt.pk).update(lifted_at=stage.now)
    minutes(stage, 1)
    assert fresh(row).cloud_id


def in_the_other_course(stage: Stage) -> tuple[Preset, Enrollment]:
    cast, preset = stage.cast, Preset.objects.get(pk=stage.preset.pk)
    cast.other_course.starts_on, cast.other_course.ends_on = cast.course.starts_on, cast.course.ends_on
    cast.other_course.save()
    preset.pk, preset.course, preset.per_person = None, cast.other_course, 2
    preset.save()
    who = cast.foreign_instructor.user
    sponsor = Budget.objects.get(parent=None)
    usd = {"course_usd": Decimal(500), "team_usd": Decimal(200), "person_usd": Decimal(100)}
    open_budgets(cast.other_course, **usd, sponsor=sponsor, why="spring", who=who, now=stage.now)
    return preset, cast.foreign_instructor


def test_a_halted_course_holds_no_other_course_up(stage: Stage) -> None:
    stage.cloud.fill()
    first = waiting(stage)
    preset, who = in_the_other_course(stage)
    behind = services.request_launch(who, preset, who=who.user, now=stage.now)
    services.launch(behind.pk, cloud=stage.cloud, now=stage.now)
    assert standing_of(fresh(behind), stage.now).place == 2
    halt = Halt.objects.create(course=first.course, reach="idle", why="a leak", who=None, at=stage.now)
    assert standing_of(fresh(behind), stage.now).place == 1
    assert standing_of(fresh(first), stage.now).place == 1
    stage.cloud.empty()
    minutes(stage, 2)
    assert fresh(behind).cloud_id
    newcomer = services.request_launch(who, preset, who=who.user, now=stage.now)
    services.launch(newcomer.pk, cloud=stage.cloud, now=stage.now)
    assert fresh(newcomer).cloud_id
    assert fresh(first).state == "requested"
    Halt.objects.filter(pk=halt.pk).update(lifted_at=stage.now)
    minutes(stage, 2)
    assert fresh(first).cloud_id


def test_who_is_halted_together_stands_in_line_as_ever(stage: Stage) -> None:
    stage.cloud.fill()
    rows = [waiting(stage), waiting(stage, stage.cast.other_student)]
    for course in (rows[0].course, None):
        halt = Halt.objects.create(course=course, reach="idle", why="a leak", who=None, at=stage.now)
        assert [standing_of(fresh(row), stage.now).place for row in rows] == [1, 2]
        Halt.objects.filter(pk=halt.pk).update(lifted_at=stage.now)


def test_who_left_a_halted_course_loses_the_place(stage: Stage) -> None:
    stage.cloud.fill()
    row = waiting(stage)
    Halt.objects.create(course=row.course, reach="idle", why="a leak", who=None, at=stage.now)
    Enrollment.objects.filter(pk=row.owner_id).update(status=EnrollmentStatus.DROPPED)
    minutes(stage, 1)
    assert fresh(row).state == "failed"


# ------------------------------------------------------------------ quota and account
def test_a_full_quota_queues_and_staff_hears_the_numbers_once(stage: Stage) -> None:
    stage.cloud.vcpu_quota = 4
    stage.running(stage.cast.instructor)
    row = waiting(stage)
    assert "as many of these as AWS allows" in row.reason
    assert stage.cloud.count("run") == 2  # the other zones and the other type count in the same quota: not asked
    minutes(stage, 20)
    told = events(row, "trouble")
    assert [e.mail_to for e in told] == [stage.cast.instructor.email]
    assert (told[0].facts["allowed"], told[0].facts["used"]) == (4, 4)
    assert "“Running On-Demand G and VT instances (L-DB2E81BA)” is full: 4 vCPUs are allowed" in told[0].reason
    assert "Waiting: 1." in told[0].reason  # the one who has just come counts


def test_a_quota_whose_number_is_not_told_is_reported_all_the_same(stage: Stage) -> None:
    stage.cloud.vcpu_quota = 0
    stage.cloud.break_before("quota", BUSY)
    row = waiting(stage)
    assert events(row, "trouble")[0].facts["allowed"] is None


def test_a_type_that_counts_in_another_quota_is_tried(stage: Stage) -> None:
    stage.cloud.vcpu_quota = 0
    stage.cloud.catalog.vcpus["L-417A185B"] = 96
    stage.preset = other_preset(stage, "large", "g4dn.xlarge", "p4d.24xlarge")
    assert stage.launch().instance_type == "p4d.24xlarge"


def test_a_blocked_account_stops_every_launch_and_one_of_them_asks_again(stage: Stage) -> None:
    error = AccountBlocked("verification pending", code="PendingVerification")
    stage.cloud.break_before("run", error, times=None)
    row = waiting(stage)
    other = waiting(stage, stage.cast.other_student)
    assert stage.cloud.count("run") == 1
    assert "the staff has been told" in row.reason
    minutes(stage, 10)
    assert stage.cloud.count("run") == 3
    assert [e.mail_to for e in events(row, "trouble") + events(other, "trouble")] == [stage.cast.instructor.email]
    stage.cloud.heal()
    minutes(stage, 6)
    assert fresh(row).state == "running"
    assert fresh(other).state == "running"
    check_books()


def test_an_image_whose_terms_are_not_accepted_blocks_no_other_launch(stage: Stage) -> None:
    text = "In order to use this AWS Marketplace product you need to accept terms and subscribe."
    stage.cloud.break_before("run", AccountBlocked(text, code="OptInRequired"))
    assert stage.launch().state == "failed"
    assert stage.launch(stage.cast.other_student).cloud_id


# ------------------------------------------------------------------ what may go wrong meanwhile
@pytest.mark.parametrize("moment", ["break_before", "break_after"])
def test_a_lost_answer_keeps_the_place_and_makes_one_machine(stage: Stage, moment: str) -> None:
    stage.cloud.fill()
    first = waiting(stage)
    second = waiting(stage, stage.cast.other_student)
    stage.cloud.empty()
    getattr(stage.cloud, moment)("run", BUSY)
    stage.later(60)
    queue(stage)
    assert fresh(first).state == "launching"
    assert fresh(second).state == "requested"  # nobody overtakes while the answer is unknown
    minutes(stage, 3)
    assert fresh(first).state == fresh(second).state == "running"
    assert len(stage.cloud.machines) == 2


def test_one_that_cannot_be_served_keeps_its_place_and_the_round_goes_on(stage: Stage) -> None:
    stage.cloud.fill()
    broken = waiting(stage)
    stage.preset = other_preset(stage, "large", "g5.xlarge")
    other = waiting(stage, stage.cast.other_student)
    Instance.objects.filter(pk=broken.pk).update(candidates=[["g4dn.xlarge"]])
    stage.cloud.empty()
    minutes(stage, 1)
    assert fresh(other).cloud_id
    assert fresh(broken).state == "requested"


def test_two_rounds_at_once_ask_once(stage: Stage) -> None:
    stage.cloud.fill()
    row = waiting(stage)
    other = waiting(stage, stage.cast.other_student)
    stage.cloud.empty()
    seen: list[CloudError] = []

    def meanwhile(_spec: object) -> None:
        if not seen:
            seen.append(QuotaReached("once"))
            queue(stage)
            assert not fresh(other).cloud_id

    stage.cloud.on_call("run", meanwhile)
    stage.later(60)
    queue(stage)
    assert fresh(row).cloud_id
    assert len(stage.cloud.machines) == 2
    assert stage.cloud.count("run") == 6 + 2


def test_the_steps_of_one_who_waited_begin_with_the_click(stage: Stage) -> None:
    asked_at = stage.now
    stage.cloud.fill()
    row = waiting(stage)
    minutes(stage, 3)
    first = steps(fresh(row), events(row))[0]
    assert (first.mark, first.began_at) == (Mark.DOING, asked_at)
    stage.cloud.empty()
    minutes(stage, 5)
    found = steps(fresh(row), events(row))
    assert found[0].began_at == asked_at
    assert [step.mark for step in found] == [Mark.DONE] * 4
