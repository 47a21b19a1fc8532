"""Nobody's reports arrive: the portal's own door is shut, and no machine is warned or stopped for that silence."""

from datetime import timedelta

from django.core import mail

from instances import services, sweeps
from instances.books import dates_of
from instances.bounds import bound
from instances.cards import card_of
from instances.hearing import hearing
from instances.idle import Cause, Facts, Limits, Verdict, decide
from instances.launch_rules import course_end
from instances.models import Instance, InstanceEvent
from tests.instances.conftest import Stage, events, fresh
from tests.instances.test_idle_and_lease import used_until_now

MINUTE = timedelta(minutes=1)


def two_at_work(stage: Stage) -> tuple[Instance, Instance]:
    """Of two people, unseen by the second eye."""
    rows = stage.running(stage.cast.student), stage.running(stage.cast.ta)
    stage.active |= {row.slug for row in rows}
    stage.wait(10)
    return rows


def shut_the_door(stage: Stage) -> set[str]:
    reporting = set(stage.reporting)
    stage.reporting.clear()
    return reporting


def told() -> list[InstanceEvent]:
    return list(InstanceEvent.objects.filter(kind="trouble", facts__unheard=True))


def test_when_nobody_is_heard_nobody_is_warned_or_stopped_and_staff_are_told_once(stage: Stage) -> None:
    rows = two_at_work(stage)
    shut_the_door(stage)
    mail.outbox.clear()
    stage.wait(10)
    stage.wait(50, step=5)
    for row in rows:
        assert fresh(row).state == "running"
        assert not events(row, "warned")
        card = card_of(fresh(row), stage.now)
        assert card.decision is not None
        assert (card.decision.verdict, card.decision.cause) == (Verdict.KEEP, Cause.BLIND)
    [event] = told()
    assert "No machine has reported for 6 min" in event.reason
    assert "/agent/" in event.reason
    assert [letter.to for letter in mail.outbox] == [[event.mail_to]]
    assert event.mail_to


def test_its_end_is_the_end_of_what_is_paid_for_because_the_silent_get_no_longer_lease(stage: Stage) -> None:
    rows = two_at_work(stage)
    shut_the_door(stage)
    ends = [fresh(row).lease_until for row in rows]
    assert stage.wait(5 * 60, step=5, until=lambda: not Instance.objects.filter(state="running").exists())
    assert [fresh(row).lease_until for row in rows] == ends
    assert stage.now <= max(ends) + 6 * MINUTE


def test_before_its_end_its_owner_is_told_once_with_the_true_time_and_can_keep_it_on(stage: Stage) -> None:
    row, _other = two_at_work(stage)
    shut_the_door(stage)
    ends = fresh(row).lease_until
    mail.outbox.clear()
    stage.wait(5 * 60, until=lambda: bool(events(row, "money")))
    assert ends - stage.now >= timedelta(seconds=Limits().warn)
    assert card_of(fresh(row), stage.now).stops_at == ends
    assert "no sign of rest" in card_of(fresh(row), stage.now).words
    stage.wait(5)
    [event] = events(row, "money")
    assert "for a time none at all" in event.reason
    [letter] = [one for one in mail.outbox if one.to == [row.owner.email]]
    assert letter.subject.startswith("Your machine cannot be seen")
    assert "without signing in: http" in letter.body
    services.keep_alive(fresh(row), hours=8, who=None, now=stage.now, by_link=True)
    assert stage.wait(5 * 60, step=5, until=lambda: stage.now > ends + 30 * MINUTE)
    assert fresh(row).state == "running"


def test_who_knows_already_that_it_ends_then_is_told_nothing_else(stage: Stage) -> None:
    row, _other = two_at_work(stage)
    Instance.objects.filter(pk=row.pk).update(unfunded_at=stage.now)
    shut_the_door(stage)
    stage.wait(4 * 60 - 20, step=5)
    assert fresh(row).state == "running"
    assert not events(row, "money")


def test_a_lease_that_ends_with_the_course_is_told_as_the_last(stage: Stage) -> None:
    row, _other = two_at_work(stage)
    shut_the_door(stage)
    Instance.objects.filter(pk=row.pk).update(lease_until=course_end(dates_of(row.course)))
    stage.now = course_end(dates_of(row.course)) - timedelta(hours=1)
    sweeps.lease(stage.cloud, stage.now)
    [event] = events(row, "money")
    assert "cannot be extended. The course ends then." in event.reason


def test_its_stop_says_that_it_was_not_heard_and_not_how_long_it_was_unused(stage: Stage) -> None:
    row, _other = two_at_work(stage)
    shut_the_door(stage)
    mail.outbox.clear()
    assert stage.wait(5 * 60, step=5, until=lambda: fresh(row).state != "running")
    assert "its reports did not reach the portal" in events(row, "moved")[-1].reason + fresh(row).reason
    stage.wait(2)
    letters = [one.body for one in mail.outbox if one.to == [row.owner.email]]
    assert any("Off it costs" in body for body in letters)
    assert not any("It had not been used" in body for body in letters)


def test_nobody_gets_a_longer_lease_for_silence_as_long_as_nobody_is_heard(stage: Stage) -> None:
    """Else the door that shuts just before a lease is half over would cost another one, beyond the published bound."""
    two_at_work(stage)
    half_over = fresh(Instance.objects.first()).lease_until - timedelta(hours=2)
    stage.wait((half_over - stage.now) / MINUTE - 24)
    at = bound(stage.cast.course, stage.now).at
    stage.active.clear()
    stage.wait(18)  # warned in two minutes if it were heard, and so before its lease is half over
    shut_the_door(stage)
    assert stage.wait(5 * 60, until=lambda: not Instance.objects.filter(state="running").exists())
    assert stage.now <= at + 2 * MINUTE


def test_who_uses_it_through_the_portal_meanwhile_gets_a_longer_one(stage: Stage) -> None:
    row, _other = two_at_work(stage)
    shut_the_door(stage)
    ends = fresh(row).lease_until
    for _minute in range(5 * 60):
        Instance.objects.filter(pk=row.pk).update(last_active_at=stage.now, last_human_at=stage.now)
        stage.wait(1)
        if fresh(row).lease_until > ends:
            break
    assert fresh(row).lease_until > ends
    assert not events(row, "money")


def test_when_the_door_opens_again_everybody_has_the_whole_time_to_be_heard(stage: Stage) -> None:
    one, other = two_at_work(stage)
    shut_the_door(stage)
    stage.wait(60, step=5)
    stage.reporting.add(one.slug)
    stage.wait(14)
    assert not events(other, "warned")
    assert stage.wait(2, until=lambda: bool(events(other, "warned")))  # its silence is its own
    assert stage.wait(12, until=lambda: fresh(other).state != "running")
    assert fresh(one).state == "running"


def test_the_next_time_is_told_anew(stage: Stage) -> None:
    two_at_work(stage)
    reporting = shut_the_door(stage)
    stage.wait(8)
    stage.reporting |= reporting
    stage.wait(2)
    shut_the_door(stage)
    stage.wait(8)
    assert len(told()) == 2


def test_a_silence_about_which_staff_were_told_was_longer_than_a_deployment(stage: Stage) -> None:
    two_at_work(stage)
    reporting = shut_the_door(stage)
    stage.wait(4)
    stage.reporting |= reporting
    stage.wait(5)
    assert not told()


def test_one_machine_that_is_heard_is_enough_to_judge_the_others(stage: Stage) -> None:
    one, other = two_at_work(stage)
    stage.reporting.discard(other.slug)
    assert stage.wait(30, until=lambda: fresh(other).state != "running")
    assert fresh(one).state == "running"
    assert not told()


def test_one_persons_silent_machines_are_judged_as_ever(stage: Stage) -> None:
    """Or whoever has two would put both beyond the rule by killing their agents."""
    stage.preset.per_person = 2
    stage.preset.save()
    rows = stage.running(), stage.running()
    stage.wait(3)
    shut_the_door(stage)
    assert stage.wait(30, until=lambda: not Instance.objects.filter(state="running").exists())
    assert all(events(row, "warned") for row in rows)


def test_a_machine_that_comes_up_while_nobody_is_heard_is_not_stopped_as_one_that_never_reports(stage: Stage) -> None:
    two_at_work(stage)
    shut_the_door(stage)
    stage.wait(5)
    third = stage.launch(stage.cast.instructor)
    stage.wait(40, step=5)
    assert fresh(third).state == "running"
    assert not events(third, "warned")


def test_machines_that_never_reported_excuse_nobody(stage: Stage) -> None:
    """Their image may have no agent."""
    rows = stage.launch(stage.cast.student), stage.launch(stage.cast.ta)
    stage.wait(2)
    assert hearing().people == 0
    assert stage.wait(30, until=lambda: not Instance.objects.filter(state="running").exists())
    assert all(events(row, "warned") for row in rows)


def test_the_next_round_tells_staff_no_second_time(stage: Stage) -> None:
    two_at_work(stage)
    shut_the_door(stage)
    stage.wait(5)
    stage.later(60)
    sweeps.idle(stage.cloud, stage.now)
    sweeps.idle(stage.cloud, stage.now)
    assert len(told()) == 1


def test_a_round_asks_one_question_more_however_many_machines(stage: Stage, django_assert_max_num_queries) -> None:
    two_at_work(stage)
    with django_assert_max_num_queries(8):
        sweeps.idle(stage.cloud, stage.now)


def test_silence_before_the_last_time_that_nobody_was_heard_does_not_count() -> None:
    limits, facts = Limits(), Facts(running_since=0.0, last_active_at=100.0, last_report_at=100.0)
    silent = Facts(running_since=0.0, last_active_at=100.0, last_report_at=100.0, unheard_until=5000.0)
    assert decide(facts, limits, 5000).verdict is Verdict.WARN
    assert decide(silent, limits, 5000).verdict is Verdict.KEEP
    assert decide(silent, limits, 5000 + limits.blind).verdict is Verdict.KEEP
    assert decide(silent, limits, 5001 + limits.blind).verdict is Verdict.WARN


def test_quiet_machines_are_not_stopped_as_quiet_while_nobody_is_heard(stage: Stage) -> None:
    row = used_until_now(stage)
    other = stage.running(stage.cast.ta)
    assert stage.wait(25, until=lambda: bool(events(row, "warned")))
    shut_the_door(stage)
    stage.wait(60, step=5)
    assert (fresh(row).state, fresh(other).state) == ("running", "running")
