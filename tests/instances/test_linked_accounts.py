"""Machines in an account that is not the course's own: a team's are launched there and nowhere else, a shut account
loses nobody's work or money, and a role that lets in others is refused."""

from datetime import timedelta

import pytest
from pytest_django.fixtures import Settings

from cloud.base import QuotaReached, Transient
from courses.models import Team
from instances import account_checks, account_edits, services, snapshots, sweeps
from instances.account_edits import AccountRefused
from instances.account_records import CloudAccount
from instances.course_images import request_image
from instances.disk_rules import Standing
from instances.models import Instance, InstanceEvent, Preset, StrayMachine
from instances.reaching import notebook_at
from instances.refusals import LaunchRefused
from instances.states import State
from tests.instances.conftest import Stage, check_books, compute_seconds, fresh, held
from tests.instances.linked_stage import NUMBER, Linked, add, link, linked, read, told, tunnel

__all__ = ["linked", "tunnel"]


# ---------------------------------------------------------------- a machine's life
def test_a_teams_machine_lives_in_its_account_and_the_courses_own_never_hears_of_it(linked: Linked) -> None:
    stage = linked.stage
    row = linked.running()
    assert [m.state for m in linked.there.machines.values()] == ["running"]
    assert (dict(stage.cloud.machines), stage.cloud.count("run")) == ({}, 0)
    linked.minute(9)
    stage.stop(row)
    linked.minute(2)
    assert fresh(row).state == State.STOPPED
    # AWS bills from its launch time on.
    assert compute_seconds(row) == pytest.approx(linked.there.ran_seconds(fresh(row).cloud_id), abs=1)
    services.request_start(fresh(row), who=row.owner.user, now=stage.now)
    services.start(row.pk, cloud=stage.cloud, now=stage.now)
    linked.minute(2)
    assert fresh(row).state == State.RUNNING
    services.request_terminate(fresh(row), who=row.owner.user, now=stage.now)
    services.terminate([row.pk], cloud=stage.cloud, now=stage.now)
    linked.minute(2)
    assert (fresh(row).state, held(row)) == (State.TERMINATED, 0)
    check_books()


def test_whoever_is_in_no_bound_team_runs_in_the_courses_own_account(linked: Linked) -> None:
    row = linked.stage.launch(linked.stage.cast.instructor)
    assert row.account_id is None
    assert list(linked.stage.cloud.machines) == [row.cloud_id]
    assert not linked.there.machines


def test_awss_own_timer_stands_in_the_machines_account(linked: Linked) -> None:
    row = linked.running()
    assert linked.there.machines[row.cloud_id].stops_at == row.guard_until
    assert linked.stage.cloud.count("schedule_stop") == 0


def test_a_notebook_in_a_network_that_is_not_joined_is_never_called_at_its_address(linked: Linked) -> None:
    row = linked.running()
    assert row.private_ip  # which may be another student's machine here
    assert notebook_at(Instance.objects.select_related("tunnel").get(pk=row.pk), linked.stage.now) is None
    assert "TUNNEL_HOST=tunnel.example.edu" in linked.there.machines[row.cloud_id].spec.user_data


def test_in_a_joined_network_it_is_called_at_its_address(linked: Linked) -> None:
    CloudAccount.objects.update(network_joined=True)
    row = linked.running()
    assert notebook_at(row, linked.stage.now) == f"{row.private_ip}:8888"


def test_where_no_notebook_could_be_opened_nothing_is_launched(linked: Linked, settings: Settings) -> None:
    settings.TUNNEL_ADDRESS = ""
    with pytest.raises(LaunchRefused, match="No notebook could be opened"):
        linked.stage.click_launch()
    assert not Instance.objects.exists()


def test_a_message_that_was_lost_is_made_up_for_by_the_round_of_that_account(linked: Linked) -> None:
    row = linked.stage.click_launch()
    linked.minute(2)
    assert fresh(row).state == State.RUNNING
    assert len(linked.there.machines) == 1


def test_who_waits_is_looked_for_every_few_seconds_there_too(linked: Linked) -> None:
    from instances import following

    row = linked.stage.launch()
    linked.stage.later(6)
    assert following.follow(linked.stage.cloud, linked.stage.now, probe=lambda places: [True] * len(places))
    assert fresh(row).state == State.RUNNING


def test_one_describe_for_each_account_and_none_more_for_the_courses_own(linked: Linked) -> None:
    row = linked.running()
    linked.stage.launch(linked.stage.cast.instructor)
    before = linked.stage.cloud.count("describe_all"), linked.there.count("describe_all")
    linked.stage.repair()
    linked.look()
    after = linked.stage.cloud.count("describe_all"), linked.there.count("describe_all")
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1]
    assert fresh(row).state == State.RUNNING


def test_copies_lie_and_are_restored_in_the_machines_account(linked: Linked) -> None:
    stage, row = linked.stage, linked.running()
    stage.stop(row)
    linked.minute(2)
    copy = snapshots.request_snapshot(fresh(row), why="asked", who=row.owner.user, now=stage.now)
    snapshots.take(copy.pk, cloud=stage.cloud, now=stage.now)
    linked.minute(3)
    copy.refresh_from_db()
    assert copy.standing == Standing.KEPT
    assert (list(linked.there.disks.kept), dict(stage.cloud.disks.kept)) == ([copy.cloud_id], {})
    # The team is bound elsewhere meanwhile: its copy cannot move.
    account_edits.unbind(linked.account, stage.cast.team, who=stage.cast.instructor.user, now=stage.now)
    stage.preset.per_person = 2
    stage.preset.save()
    again = services.request_launch(row.owner, stage.preset, who=row.owner.user, now=stage.now, snapshot=copy)
    assert again.account_id == linked.account.pk


def test_a_machine_there_does_not_become_the_courses_image(linked: Linked) -> None:
    stage = linked.stage
    stage.cast.ta.team = stage.cast.team
    stage.cast.ta.save()
    row = stage.launch(stage.cast.ta)
    with pytest.raises(LaunchRefused, match="another AWS account"):
        request_image(row, "Spring", who=stage.cast.instructor.user, now=stage.now)


# ---------------------------------------------------------------- accounts apart
def test_two_accounts_never_see_each_others_machines_nor_end_them(linked: Linked) -> None:
    stage, first = linked.stage, linked.running()
    team = Team.objects.create(course=stage.cast.course, name="Team 2")
    other = link(stage, "310987654321")
    account_edits.unbind(other.account, stage.cast.team, who=stage.cast.instructor.user, now=stage.now)
    account_edits.bind(linked.account, stage.cast.team, who=stage.cast.instructor.user, now=stage.now)
    account_edits.bind(other.account, team, who=stage.cast.instructor.user, now=stage.now)
    stage.cast.other_student.team = team
    stage.cast.other_student.save()
    second = stage.launch(stage.cast.other_student)
    home = stage.launch(stage.cast.instructor)
    linked.minute(12)
    assert {fresh(one).state for one in (first, second, home)} == {State.RUNNING}
    assert [list(cloud.machines) for cloud in (linked.there, other.there, stage.cloud)] == [
        [first.cloud_id],
        [second.cloud_id],
        [home.cloud_id],
    ]
    assert not StrayMachine.objects.exists()


def test_a_full_quota_in_one_account_keeps_nobody_elsewhere_waiting(linked: Linked) -> None:
    stage = linked.stage
    linked.there.break_before("run", QuotaReached("full", code="VcpuLimitExceeded"), times=None)
    waits = stage.launch()
    assert waits.queued_at
    assert stage.launch(stage.cast.instructor).cloud_id


def test_a_machine_there_without_a_row_is_stopped_there(linked: Linked) -> None:
    row = linked.running()
    Instance.objects.filter(pk=row.pk).update(cloud_id="i-another", slug="munknown")
    linked.look()
    assert linked.there.machines[row.cloud_id].state in ("stopping", "stopped")
    assert StrayMachine.objects.get().cloud_id == row.cloud_id


def test_a_stray_in_a_shut_account_is_unseen_and_one_that_its_account_lists_no_more_is_gone(linked: Linked) -> None:
    row = linked.running()
    Instance.objects.filter(pk=row.pk).update(cloud_id="", state=State.FAILED, attempt=0)  # as an older backup has it
    linked.look()
    linked.shut()
    linked.minute(12)  # the course's own account does not list it
    assert StrayMachine.objects.get().cloud_id == row.cloud_id
    linked.open()
    linked.there.terminate([row.cloud_id])
    linked.stage.later(24 * 3600)
    linked.minute(1)
    assert not StrayMachine.objects.exists()


# ---------------------------------------------------------------- an account that is shut
def test_machines_of_a_shut_account_are_unseen_never_gone_and_not_charged(linked: Linked) -> None:
    stage, row = linked.stage, linked.running()
    home = stage.launch(stage.cast.instructor)
    linked.minute(5)
    linked.shut()
    linked.look()
    before = compute_seconds(row)
    for _each in range(65):
        Instance.objects.filter(pk=row.pk).update(last_report_at=stage.now, last_active_at=stage.now)  # it works on
        linked.minute()
    assert fresh(row).state == State.RUNNING
    assert compute_seconds(row) == before  # an hour that nobody saw it run is not posted
    assert fresh(home).state == State.STOPPED  # it reported nothing: whoever can be seen is judged as always
    assert read(linked.account).shut_since is not None
    [trouble] = InstanceEvent.objects.filter(instance=row, kind="trouble", facts__shut=linked.account.pk)
    assert "cannot be entered" in trouble.reason
    assert trouble.mail_to
    linked.open()
    linked.minute(2)
    assert read(linked.account).shut_since is None
    assert fresh(row).state == State.RUNNING
    assert compute_seconds(row) > before
    check_books()


def test_a_stop_in_a_shut_account_is_said_again_until_it_is_open(linked: Linked) -> None:
    row = linked.running()
    linked.shut()
    linked.stage.stop(row)
    linked.minute(10)
    assert fresh(row).state == State.STOPPING
    linked.open()
    linked.minute(3)
    assert fresh(row).state == State.STOPPED
    check_books()


def test_aws_not_answering_for_a_moment_tells_nobody(linked: Linked) -> None:
    linked.running()
    linked.there.break_before("describe_all", Transient("slow"), times=2)
    linked.minute(2)
    assert not InstanceEvent.objects.filter(facts__shut=linked.account.pk).exists()
    linked.minute()
    assert read(linked.account).shut_since is None


def test_a_launch_into_an_account_that_was_shut_meanwhile_waits_and_starts_when_it_is_open(linked: Linked) -> None:
    row = linked.stage.click_launch()
    linked.shut()
    services.launch(row.pk, cloud=linked.stage.cloud, now=linked.stage.now)
    assert (fresh(row).state, fresh(row).cloud_id) == (State.REQUESTED, "")
    linked.open()
    for _each in range(8):
        linked.minute()
        sweeps.queue(linked.stage.cloud, linked.stage.now)
    assert fresh(row).state == State.RUNNING
    assert not linked.stage.cloud.machines


# ---------------------------------------------------------------- the check
def test_a_role_that_lets_anybody_in_is_refused_and_nothing_is_launched(stage: Stage) -> None:
    found = link(stage)
    stage.cloud.accounts.open_role(found.entry.role_arn, NUMBER, None)  # somebody took the condition away
    assert account_checks.check(read(found.account), cloud=stage.cloud, now=stage.now) is False
    assert not read(found.account).usable
    with pytest.raises(LaunchRefused, match="lets in anybody"):
        stage.click_launch()
    assert not Instance.objects.exists()


def test_a_role_of_another_account_is_refused(linked: Linked) -> None:
    linked.stage.cloud.accounts.open_role(linked.entry.role_arn, "999999999999", linked.entry.external_id)
    account_checks.check(linked.account, cloud=linked.stage.cloud, now=linked.stage.now)
    [wrong] = [one for one in read(linked.account).findings if not one["ok"]]
    assert "999999999999" in wrong["words"]


def test_where_awss_own_timer_cannot_be_set_nothing_is_launched(linked: Linked) -> None:
    from cloud.base import Refused

    linked.there.break_before("schedule_stop", Refused("not authorized", code="AccessDenied"), times=None)
    account_checks.check(linked.account, cloud=linked.stage.cloud, now=linked.stage.now)
    with pytest.raises(LaunchRefused, match="timer cannot be set"):
        linked.stage.click_launch()


def test_an_image_that_is_not_shared_with_the_account_is_told_before_anybody_launches(linked: Linked) -> None:
    linked.there.images = ["ami-other"]
    account_checks.check(linked.account, cloud=linked.stage.cloud, now=linked.stage.now)
    [wrong] = [one for one in read(linked.account).findings if not one["ok"]]
    assert "share it with that account" in wrong["words"]


def test_a_preset_whose_image_is_there_is_enough_and_what_there_is_can_be_started_in_any_case(linked: Linked) -> None:
    stage, row = linked.stage, linked.running()
    stage.stop(row)
    linked.minute(2)
    linked.there.images = ["ami-other"]
    account_checks.check(linked.account, cloud=stage.cloud, now=stage.now)
    assert not read(linked.account).usable
    services.request_start(fresh(row), who=row.owner.user, now=stage.now)  # its disk is there already
    Preset.objects.create(
        course=stage.cast.course,
        slug="public",
        name="Public",
        instance_types=["g4dn.xlarge"],
        image_id="ami-other",
        disk_gb=64,
        lease_seconds=3600,
        ceiling_usd_hour=1,
        per_person=1,
    )
    assert account_checks.check(linked.account, cloud=stage.cloud, now=stage.now)


def test_when_aws_does_not_say_what_was_known_stays(linked: Linked) -> None:
    linked.stage.cloud.break_before("enter", Transient("slow"))
    assert account_checks.check(linked.account, cloud=linked.stage.cloud, now=linked.stage.now) is None
    assert read(linked.account).usable


def test_it_is_checked_again_every_day(linked: Linked) -> None:
    linked.look()
    assert linked.stage.cloud.count("enter") == 3
    linked.stage.later(25 * 3600)
    linked.look()
    assert linked.stage.cloud.count("enter") == 6


def test_before_its_check_nothing_is_launched_and_never_elsewhere_instead(stage: Stage) -> None:
    made = add(stage)
    account_edits.bind(made, stage.cast.team, who=stage.cast.instructor.user, now=stage.now)
    with pytest.raises(LaunchRefused, match="not checked yet"):
        stage.click_launch()
    assert not Instance.objects.exists()


# ---------------------------------------------------------------- adding and removing
def test_external_ids_are_the_portals_long_and_each_accounts_own(stage: Stage) -> None:
    first, second = add(stage), add(stage, "310987654321")
    assert first.external_id != second.external_id
    assert len(first.external_id) >= 43  # 32 random bytes
    assert first.external_id not in repr(first.entry) + str(first)


@pytest.mark.parametrize("number", ["", "12345", "12345678901x", "1234567890123"])
def test_a_number_that_is_none_is_refused(stage: Stage, number: str) -> None:
    with pytest.raises(AccountRefused, match="twelve digits"):
        add(stage, number)


def test_an_account_is_linked_once(stage: Stage) -> None:
    add(stage)
    with pytest.raises(AccountRefused, match="linked already"):
        add(stage, "2109-8765-4321")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        told(NUMBER, role="arn:aws:iam::210987654321:user/somebody"),
        told(NUMBER, subnets={}),
        told(NUMBER, subnets=["subnet-1"]),
        told(NUMBER, security_group=7),
        told("310987654321"),
    ],
)
def test_what_is_no_output_of_that_accounts_stack_is_refused(stage: Stage, text: str) -> None:
    with pytest.raises(AccountRefused):
        account_edits.tell_stack(add(stage), text, joined=False, who=stage.cast.instructor.user, now=stage.now)


def test_an_account_that_was_removed_meanwhile_takes_no_team(linked: Linked) -> None:
    CloudAccount.objects.filter(pk=linked.account.pk).update(removed_at=linked.stage.now)
    cast = linked.stage.cast
    with pytest.raises(AccountRefused, match="removed meanwhile"):
        account_edits.bind(linked.account, cast.team, who=cast.instructor.user, now=linked.stage.now)


def test_it_is_removed_only_when_nothing_is_left_there(linked: Linked) -> None:
    stage, who = linked.stage, linked.stage.cast.instructor.user
    row = linked.running()
    with pytest.raises(AccountRefused, match="still there"):
        account_edits.remove(linked.account, who=who, now=stage.now)
    services.request_terminate(fresh(row), who=row.owner.user, now=stage.now)
    linked.minute(3)
    account_edits.remove(linked.account, who=who, now=stage.now + timedelta(minutes=1))
    assert read(linked.account).removed_at is not None
    asked = linked.there.count("describe_all")
    linked.look()
    assert linked.there.count("describe_all") == asked
    assert add(stage).external_id != linked.account.external_id  # linked again, it is a new one
