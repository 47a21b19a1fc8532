"""What AWS may answer to a launch or a start, and what becomes of the row, the money and the machine."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from cloud.base import CloudError, NotFound, QuotaReached, Refused, TokenMismatch, Transient, WrongState
from cloud.errors import MEANING, cloud_error
from courses.models import User
from instances import services
from instances.models import Instance, InstanceEvent
from instances.repair import CALL_SECONDS
from tests.instances.conftest import Stage, check_books, compute_seconds, events, fresh, held, path


def test_a_full_zone_leads_to_the_next_one_with_a_new_token(stage: Stage) -> None:
    stage.cloud.fill(zone="us-east-1a")
    row = stage.launch()
    assert (row.zone, row.attempt, row.token) == ("us-east-1b", 2, f"{row.slug}-2")
    assert [e.facts["attempt"] for e in events(row, "refused")] == [2]
    stage.sweep()
    assert fresh(row).state == "running"


def test_when_a_type_is_full_everywhere_the_next_type_is_taken_at_its_own_price(stage: Stage) -> None:
    stage.cloud.fill(instance_type="g4dn.xlarge")
    row = stage.launch()
    assert (row.instance_type, str(row.price_usd_hour), row.attempt) == ("g6.xlarge", "0.804800", 4)


def test_a_type_that_a_zone_does_not_offer_is_not_asked_for_there(stage: Stage) -> None:
    stage.cloud.offerings["g4dn.xlarge"] = ("us-east-1c",)
    row = stage.launch()
    assert (row.instance_type, row.zone, row.attempt) == ("g4dn.xlarge", "us-east-1c", 1)


@dataclass(frozen=True)
class Answer:
    """One row of AWS's answers to RunInstances, and what must become of the launch, the staff and the next question."""

    error: CloudError
    state: str
    words: str  # in the reason that the student reads
    staff: bool  # hears by mail
    asked: int  # calls of RunInstances


def answer(code: str, state: str, words: str, *, staff: bool, asked: int, text: str = "said AWS") -> Answer:
    status = 500 if code in ("InternalError", "Unavailable") else 400
    return Answer(cloud_error(code, text, status=status), state, words, staff, asked)


# Each row of the table of errors: a new one belongs here, with the reaction that it needs.
ANSWERS = [
    *[
        answer(code, "requested", "You are in the queue", staff=False, asked=6)  # two types in three zones
        for code in ("InsufficientInstanceCapacity", "InsufficientHostCapacity", "SpotMaxPriceTooLow", "Unsupported")
    ],
    *[
        answer(code, "requested", "as many of these as AWS allows", staff=True, asked=1)
        for code in ("VcpuLimitExceeded", "InstanceLimitExceeded", "MaxSpotInstanceCountExceeded")
    ],
    *[
        answer(code, "requested", "launch nothing at the moment", staff=True, asked=1)
        for code in ("PendingVerification", "OptInRequired", "Blocked", "AuthFailure", "InvalidClientTokenId")
    ],
    answer("OptInRequired", "failed", "Nothing was charged", staff=True, asked=1, text="accept the Marketplace terms"),
    *[
        answer(code, "launching", "Asking AWS", staff=False, asked=1)  # said again by the sweep, never elsewhere
        for code in ("RequestLimitExceeded", "Throttling", "EC2ThrottledException", "InternalError", "Unavailable")
    ],
    *[
        answer(code, "failed", "Nothing was charged", staff=True, asked=1)
        for code in ("InvalidAMIID.NotFound", "UnauthorizedOperation", "UnsupportedOperation", "OperationNotPermitted")
    ],
    *[
        answer(code, "failed", "Nothing was charged", staff=True, asked=1)
        for code in ("InvalidParameterValue", "IdempotentInstanceTerminated", "ACodeThatNobodyKnows")
    ],
    answer("IdempotentParameterMismatch", "launching", "Asking AWS", staff=True, asked=1),
]


@pytest.mark.parametrize("row", ANSWERS, ids=lambda row: row.error.code)
def test_whatever_aws_answers_the_launch_ends_well_and_costs_nothing(stage: Stage, row: Answer) -> None:
    stage.cloud.break_before("run", row.error, times=None)
    machine = stage.launch()
    assert machine.state == row.state
    assert row.words in machine.reason
    assert bool([e for e in events(machine, "trouble") if e.mail_to == stage.cast.instructor.email]) == row.staff
    assert stage.cloud.count("run") == row.asked
    assert (held(machine) > 0) == (row.state != "failed")  # what is set aside for one who still waits is not charged
    assert not machine.runs.exists()
    check_books()


def test_every_kind_of_answer_is_in_the_table() -> None:
    """Not those that are about a machine that there is already."""
    kinds = {MEANING[row.error.code] for row in ANSWERS if row.error.code in MEANING}
    assert kinds == set(MEANING.values()) - {NotFound, WrongState}


def test_an_encoded_refusal_is_not_what_a_student_reads(stage: Stage) -> None:
    text = "You are not authorized to perform this operation. Encoded authorization failure message: " + "x" * 900
    stage.cloud.break_before("run", cloud_error("UnauthorizedOperation", text))
    row = stage.launch()
    assert "xxx" not in row.reason
    assert "Nothing was charged" in row.reason


def test_an_operator_hears_before_the_course_staff(stage: Stage) -> None:
    User.objects.create_user("ops@demo.edu", is_operator=True)
    stage.cloud.break_before("run", QuotaReached("limit"))
    assert events(stage.launch(), "trouble")[0].mail_to == "ops@demo.edu"


@pytest.mark.parametrize("moment", ["break_before", "break_after"])
def test_a_time_out_repeats_the_same_question_and_never_another_zone(stage: Stage, moment: str) -> None:
    getattr(stage.cloud, moment)("run", Transient("timed out"), times=3)
    row = stage.launch()
    assert (row.state, row.attempt, row.cloud_id) == ("launching", 1, "")
    stage.wait(5)
    row = fresh(row)
    assert (row.state, row.attempt, row.zone) == ("running", 1, "us-east-1a")
    assert len(stage.cloud.machines) == 1


def test_a_lost_answer_is_found_by_its_token_without_asking_again(stage: Stage) -> None:
    stage.cloud.break_after("run", Transient("timed out"))
    row = stage.launch()
    stage.sweep()
    assert fresh(row).cloud_id
    assert stage.cloud.count("run") == 1


def test_no_clear_answer_for_a_quarter_of_an_hour_is_given_up_and_costs_nothing(stage: Stage) -> None:
    stage.cloud.break_before("run", Transient("timed out"), times=None)
    row = stage.launch()
    assert stage.wait(30, until=lambda: fresh(row).state == "failed")
    assert "no clear answer" in fresh(row).reason
    assert held(row) == 0
    assert stage.cloud.machines == {}


def test_a_machine_that_shows_up_after_it_was_given_up_is_ended(stage: Stage) -> None:
    stage.cloud.hidden_seconds = 3600
    stage.cloud.break_after("run", Transient("timed out"), times=None)
    row = stage.launch()
    assert stage.wait(30, until=lambda: fresh(row).state == "failed")
    stage.wait(60)
    assert stage.kept() == []


def test_a_token_mismatch_is_our_bug_and_still_one_machine(stage: Stage) -> None:
    stage.cloud.break_after("run", TokenMismatch("other parameters", code="IdempotentParameterMismatch"))
    row = stage.launch()
    assert row.cloud_id
    assert "other parameters" in events(row, "trouble")[0].reason
    stage.sweep()
    assert fresh(row).state == "running"
    assert len(stage.cloud.machines) == 1


def test_a_new_machine_that_is_not_listed_yet_is_not_taken_for_lost(stage: Stage) -> None:
    stage.cloud.hidden_seconds = 240
    row = stage.launch()
    stage.wait(3)
    assert fresh(row).state == "launching"
    stage.wait(3)
    assert fresh(row).state == "running"
    assert len(stage.cloud.machines) == 1


def test_a_machine_that_dies_while_pending_fails_with_awss_words_and_costs_nothing(stage: Stage) -> None:
    stage.cloud.boot_seconds = 300
    row = stage.launch()
    machine = stage.cloud._machines[row.cloud_id]
    machine.terminate(stage.now)
    machine.state_reason = "Client.VolumeLimitExceeded: Volume limit exceeded"
    stage.later(60)
    stage.repair()
    row = fresh(row)
    assert row.state == "failed"
    assert "Volume limit exceeded" in row.reason
    stage.sweep()
    assert compute_seconds(row) == 0
    assert held(row) == 0
    check_books()


def test_a_machine_whose_secrets_no_key_opens_is_not_asked_for(stage: Stage) -> None:
    row = stage.click_launch()
    Instance.objects.filter(pk=row.pk).update(agent_secret="sealed-with-a-lost-key")
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    assert fresh(row).state == "failed"
    assert events(row, "trouble")
    assert stage.cloud.count("run") == 0
    check_books()


def test_two_callers_at_once_make_one_call(stage: Stage) -> None:
    row = stage.click_launch()

    def meanwhile(_spec: object) -> None:
        services.launch(row.pk, cloud=stage.cloud, now=stage.now)

    stage.cloud.on_call("run", meanwhile)
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    assert stage.cloud.count("run") == 1
    assert len(stage.cloud.machines) == 1


def test_a_caller_that_was_thought_dead_leaves_no_second_machine(stage: Stage) -> None:
    """Its claim ran out while it waited; another one was told "no capacity" and went on. Then its answer comes."""
    row = stage.click_launch()
    others = []

    def hang(_spec: object) -> None:
        if not others:
            others.append(1)
            stage.cloud.fill(zone="us-east-1a")
            stage.later(CALL_SECONDS + 1)
            services.launch(row.pk, cloud=stage.cloud, now=stage.now)
            stage.cloud.empty()

    stage.cloud.on_call("run", hang)
    services.launch(row.pk, cloud=stage.cloud, now=stage.now - timedelta(seconds=CALL_SECONDS + 1))
    [kept] = stage.kept()  # ended at once, by the one who was late
    stage.sweep()
    assert stage.kept() == [kept]
    assert fresh(row).cloud_id == kept.cloud_id
    assert kept.spec.zone == "us-east-1b"


def test_stopping_while_aws_is_asked_ends_the_machine_that_comes_of_it(stage: Stage) -> None:
    row = stage.click_launch()
    stage.cloud.on_call(
        "run", lambda _spec: services.request_stop(fresh(row), reason="changed my mind", who=None, now=stage.now)
    )
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(3)
    assert fresh(row).state == "stopped"
    assert stage.alive() == []
    assert fresh(row).reason == "changed my mind"
    check_books()


def test_stopping_while_aws_has_none_is_over_at_the_next_round(stage: Stage) -> None:
    """A definite refusal: nothing can come of that question any more, so nobody waits for it."""
    row = stage.click_launch()
    stage.cloud.fill()
    stage.cloud.on_call(
        "run", lambda _spec: services.request_stop(fresh(row), reason="changed my mind", who=None, now=stage.now)
    )
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(1)
    assert (fresh(row).state, fresh(row).reason) == ("failed", "changed my mind")
    assert stage.cloud.count("run") == 1
    check_books()


def test_stopping_before_aws_was_asked_frees_all_at_once(stage: Stage) -> None:
    row = stage.click_launch()
    assert services.request_stop(row, reason="changed my mind", who=None, now=stage.now)
    assert fresh(row).state == "terminated"
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)  # its message comes late
    assert stage.cloud.count("run") == 0
    check_books()


def test_no_room_on_start_keeps_the_disk_and_frees_the_hold(stage: Stage) -> None:
    row = _stopped(stage)
    stage.cloud.fill()
    row = _start(stage, row)
    assert row.state == "stopped"
    assert "zone of your disk" in row.reason
    assert "Nothing was charged" in row.reason
    assert not [h for h in _open_holds(row) if "/run/" in h]
    stage.cloud.empty()
    row = _start(stage, row)
    stage.wait(1)
    assert fresh(row).state == "running"
    assert fresh(row).run_number == 3
    check_books()


@pytest.mark.parametrize("error", [Transient("busy"), NotFound("not yet")])
def test_a_start_without_a_clear_answer_is_asked_again(stage: Stage, error: CloudError) -> None:
    row = _stopped(stage)
    stage.cloud.break_before("start", error, times=2)
    row = _start(stage, row)
    assert row.state == "launching"
    stage.wait(4)
    assert fresh(row).state == "running"


def test_a_refused_start_goes_back_to_stopped_and_staff_hears(stage: Stage) -> None:
    row = _stopped(stage)
    stage.cloud.refuse("start", row.cloud_id, QuotaReached("limit of 8"))
    row = _start(stage, row)
    assert row.state == "stopped"
    assert "limit of 8" in row.reason
    assert events(row, "trouble")[0].mail_to
    check_books()


def test_a_machine_that_aws_will_not_put_under_its_timer_is_stopped_again(stage: Stage) -> None:
    stage.cloud.break_before("schedule_stop", Refused("not allowed"), times=None)
    row = stage.launch()
    stage.wait(3)
    row = fresh(row)
    assert row.state == "stopped"
    assert "timer could not be set" in row.reason
    assert row.notebook_ready_at is None
    check_books()


def test_a_machine_is_not_shown_as_ready_before_its_timer_stands(stage: Stage) -> None:
    stage.cloud.break_before("schedule_stop", Transient("busy"), times=2)
    row = stage.launch()
    stage.sweep()
    assert fresh(row).state == "running"
    assert fresh(row).notebook_ready_at is None
    stage.wait(1)
    assert fresh(row).notebook_ready_at == stage.now
    assert stage.machine(row).stops_at == fresh(row).guard_until


def test_a_stopped_machine_is_not_started_before_its_timer_stands(stage: Stage) -> None:
    row = _stopped(stage)
    stage.cloud.break_before("schedule_stop", Transient("busy"), times=2)
    row = _start(stage, row)
    assert stage.cloud.count("start") == 0
    stage.wait(3)
    assert fresh(row).state == "running"
    assert stage.machine(row).stops_at == fresh(row).guard_until > stage.now


def test_a_timer_that_is_set_at_the_last_moment_is_in_time(stage: Stage) -> None:
    stage.cloud.break_before("schedule_stop", Transient("busy"), times=3)
    row = stage.launch()
    stage.wait(3)
    assert fresh(row).state == "running"
    assert fresh(row).notebook_ready_at == stage.now


def test_a_timer_that_cannot_be_set_for_minutes_stops_the_machine(stage: Stage) -> None:
    stage.cloud.break_before("schedule_stop", Transient("busy"), times=None)
    row = stage.launch()
    assert stage.wait(6, until=lambda: fresh(row).state == "stopped")
    assert path(row)[-2:] == ["stopping", "stopped"]


def _stopped(stage: Stage) -> Instance:
    row = stage.stop(stage.running())
    stage.wait(2)
    assert fresh(row).state == "stopped"
    return fresh(row)


def _start(stage: Stage, row: Instance) -> Instance:
    services.request_start(row, who=row.owner.user, now=stage.now)
    services.start(row.pk, cloud=stage.cloud, now=stage.now)
    return fresh(row)


def _open_holds(row: Instance) -> list[str]:
    from spend.models import Hold

    return list(
        Hold.objects.filter(key__startswith=f"machine/{row.slug}", closed_at=None).values_list("key", flat=True)
    )


def test_nothing_in_an_event_names_a_secret(stage: Stage) -> None:
    row = stage.launch()
    text = str(list(InstanceEvent.objects.values_list("reason", "facts")))
    assert row.notebook_token not in text
    assert row.agent_secret not in text
