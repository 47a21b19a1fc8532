"""A yes of the staff is good for one machine, also where a stopped one becomes one of the preset."""

from decimal import Decimal
from functools import partial

import pytest

from cloud.base import Refused
from courses.models import Role
from instances import approvals, books, resizing, services
from instances.models import Instance, LaunchApproval, Preset
from instances.refusals import LaunchRefused
from instances.resizing import request_resize
from tests.instances.conftest import HOUR, Stage, check_books, fresh
from tests.race import SOON, Outcome, after, race, slow_to_commit

NOT_WITHOUT = "only when the course staff allows it"


@pytest.fixture
def dear(stage: Stage) -> Preset:
    Preset.objects.filter(pk=stage.preset.pk).update(per_person=5)
    return Preset.objects.create(
        course=stage.cast.course, slug="project", name="Project: A10G 24 GB", instance_types=["g5.xlarge"],
        image_id="ami-course", disk_gb=100, lease_seconds=2 * HOUR, ceiling_usd_hour=Decimal("1.20"), per_person=5,
        needs_approval=True,
    )  # fmt: skip


@pytest.fixture
def yes(stage: Stage, dear: Preset) -> LaunchApproval:
    return allow(stage, dear)


def allow(stage: Stage, preset: Preset) -> LaunchApproval:
    staff = stage.cast.instructor.user
    assert staff
    asked = approvals.ask(stage.cast.student, preset, why="our project", now=stage.now)
    approvals.decide(asked, allow=True, note="", who=staff, now=stage.now)
    asked.refresh_from_db()
    return asked


def stopped(stage: Stage) -> Instance:
    row = stage.stop(stage.running())
    stage.wait(1)
    return fresh(row)


def resize(stage: Stage, row: Instance, preset: Preset) -> Instance:
    return request_resize(row, preset, who=row.owner.user, now=stage.now)


def start(stage: Stage, row: Instance) -> Instance:
    services.request_start(fresh(row), who=row.owner.user, now=stage.now)
    services.start(row.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(2)
    return fresh(row)


def left(stage: Stage, preset: Preset) -> int:
    return approvals.usable(stage.cast.student, preset, stage.now).count()


def test_one_yes_makes_one_machine_of_the_preset_however_many_are_stopped(
    stage: Stage, dear: Preset, yes: LaunchApproval
) -> None:
    rows = [stopped(stage) for _n in range(3)]
    resize(stage, rows[0], dear)
    for row in rows[1:]:
        with pytest.raises(LaunchRefused, match=NOT_WITHOUT):
            resize(stage, row, dear)
    assert [fresh(row).preset for row in rows] == [dear, stage.preset, stage.preset]
    yes.refresh_from_db()
    assert (yes.status, yes.instance) == ("used", rows[0])
    with pytest.raises(LaunchRefused, match=NOT_WITHOUT):
        services.request_launch(stage.cast.student, dear, who=None, now=stage.now)


def test_whose_launch_used_a_yes_needs_one_of_its_own_to_become_another_kind(stage: Stage, dear: Preset) -> None:
    Preset.objects.filter(pk=stage.preset.pk).update(needs_approval=True)
    first = allow(stage, stage.preset)
    row = stopped(stage)
    second = allow(stage, dear)
    resize(stage, row, dear)
    second.refresh_from_db()
    assert second.instance == row
    assert (left(stage, stage.preset), left(stage, dear)) == (0, 0)
    start(stage, row)
    services.request_terminate(fresh(row), who=None, now=stage.now)
    stage.wait(2)
    first.refresh_from_db()
    assert first.status == "used"
    assert (left(stage, stage.preset), left(stage, dear)) == (0, 0)


def test_staff_and_presets_that_need_no_leave_use_none(stage: Stage, dear: Preset, yes: LaunchApproval) -> None:
    row = stopped(stage)
    stage.cast.student.role = Role.TA
    stage.cast.student.save()
    resize(stage, row, dear)
    assert left(stage, dear) == 1
    resize(stage, fresh(row), stage.preset)
    assert left(stage, dear) == 1


# ------------------------------------------------------------------ came to nothing
def test_what_aws_refuses_gives_the_yes_back(stage: Stage, dear: Preset, yes: LaunchApproval) -> None:
    row = stopped(stage)
    resize(stage, row, dear)
    stage.cloud.break_before("change_type", Refused("no such type", code="InvalidInstanceAttributeValue"))
    row = start(stage, row)
    assert (row.state, row.preset, left(stage, dear)) == ("stopped", stage.preset, 1)
    resize(stage, row, dear)
    assert left(stage, dear) == 0


def test_who_changes_their_mind_before_the_start_has_the_yes_again(
    stage: Stage, dear: Preset, yes: LaunchApproval
) -> None:
    row = stopped(stage)
    resize(stage, row, dear)
    resize(stage, row, stage.preset)
    assert left(stage, dear) == 1
    approvals.ask(stage.cast.student, dear, why="another one", now=stage.now)  # that one waits hinders nothing
    resize(stage, row, dear)
    assert (fresh(row).preset, left(stage, dear)) == (dear, 0)


def test_a_full_zone_gives_the_yes_back_to_who_takes_another_kind_then(
    stage: Stage, dear: Preset, yes: LaunchApproval
) -> None:
    row = stopped(stage)
    resize(stage, row, dear)
    stage.cloud.fill()
    row = start(stage, row)
    assert (row.state, row.preset, left(stage, dear)) == ("stopped", dear, 0)
    resize(stage, row, stage.preset)
    assert left(stage, dear) == 1


def test_deleted_before_it_ever_ran_so_the_yes_is_good_again(stage: Stage, dear: Preset, yes: LaunchApproval) -> None:
    row = stopped(stage)
    resize(stage, row, dear)
    services.request_terminate(fresh(row), who=None, now=stage.now)
    stage.wait(2)
    assert (fresh(row).state, left(stage, dear)) == ("terminated", 1)


def test_what_ran_has_used_it_whatever_becomes_of_the_machine(stage: Stage, dear: Preset, yes: LaunchApproval) -> None:
    row = stopped(stage)
    resize(stage, row, dear)
    row = start(stage, row)
    assert (row.state, stage.machine(row).instance_type) == ("running", "g5.xlarge")
    stage.stop(row)
    stage.wait(2)
    resize(stage, fresh(row), stage.preset)
    assert left(stage, dear) == 0
    services.request_terminate(fresh(row), who=None, now=stage.now)
    stage.wait(2)
    assert left(stage, dear) == 0
    check_books()


# ------------------------------------------------------------------ two at once
def two_at_once(stage: Stage, dear: Preset) -> list[Outcome]:
    rows = [stopped(stage) for _n in range(2)]
    allow(stage, dear)
    one, other = (partial(resize, stage, row, dear) for row in rows)
    return race([partial(slow_to_commit, one), partial(after, SOON, other)])


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_machines_resized_at_once_use_one_yes_once(stage: Stage, dear: Preset) -> None:
    first, second = two_at_once(stage, dear)
    assert first.ok
    assert isinstance(second.error, LaunchRefused)
    assert Instance.objects.filter(preset=dear).count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_control_without_the_persons_lock_both_use_it(
    stage: Stage, dear: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resizing, "locked", lambda owner: owner)
    monkeypatch.setattr(books, "check_new_run", lambda *_args: None)  # its locks come too late, but keep apart
    assert [outcome.ok for outcome in two_at_once(stage, dear)] == [True, True]
    assert Instance.objects.filter(preset=dear).count() == 2
