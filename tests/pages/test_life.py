"""Restart, another kind, copies and restore as a student clicks them; and the staff's page of disks."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from instances import closing, services, snapshots
from instances.disk_rules import Standing
from instances.models import DiskPolicy, DiskSnapshot, Instance, Preset
from tests.instances.conftest import HOUR, Stage, fresh
from tests.instances.test_queue import other_preset
from tests.pages.conftest import signed_in
from tests.pages.test_course_home import text_of


@pytest.fixture
def bigger(today: Stage) -> Preset:
    return Preset.objects.create(
        course=today.cast.course, slug="project", name="Project: A10G 24 GB", instance_types=["g5.xlarge"],
        image_id="ami-course", disk_gb=100, lease_seconds=2 * HOUR, ceiling_usd_hour=Decimal("1.20"),
    )  # fmt: skip


def stopped(today: Stage) -> Instance:
    row = today.stop(today.running())
    today.wait(1)
    return fresh(row)


def kept(today: Stage, row: Instance) -> DiskSnapshot:
    made = snapshots.request_snapshot(row, why=DiskSnapshot.Why.ASKED, who=row.owner.user, now=today.now)
    today.wait(2)
    made.refresh_from_db()
    assert made.standing == Standing.KEPT
    return made


def post(today: Stage, name: str, row: Instance, **data: str):
    return signed_in(today.cast.student.user).post(reverse(name, args=[row.slug]), data, follow=True)


def test_a_restart_is_one_click_and_is_said(today: Stage) -> None:
    row = today.running()
    assert "restarts. Its files stay." in text_of(post(today, "machine_restart", row).content.decode())
    assert fresh(row).restart_wanted_at


def test_another_kind_is_offered_with_its_price_and_chosen_with_one_click(today: Stage, bigger: Preset) -> None:
    row = stopped(today)
    page = signed_in(today.cast.student.user).get(reverse("machine_resize", args=[row.slug]))
    assert "a start sets $2.11 aside" in text_of(page.content.decode())
    post(today, "machine_resize", row, preset="project")
    assert fresh(row).preset == bigger


def test_work_goes_on_elsewhere_with_one_click_and_the_page_says_so(today: Stage) -> None:
    row = today.running()
    owner = signed_in(row.owner.user)
    url = reverse("machine_elsewhere", args=[row.slug])
    assert owner.post(url, {"preset": today.preset.slug}).status_code == 409  # it runs
    today.stop(row)
    today.wait(2)
    page = owner.get(url).content.decode()
    assert today.preset.name in page
    assert "This preset does not exist" in owner.post(url, {"preset": "none"}).content.decode()
    answer = owner.post(url, {"preset": today.preset.slug}, follow=True).content.decode()
    assert f"then your work goes on as a {today.preset.name}, by itself" in answer


def test_deleting_it_with_a_copy_launches_nothing_that_was_to_go_on(today: Stage) -> None:
    row = stopped(today)
    today.cloud.disks.snapshot_seconds = 300
    post(today, "machine_elsewhere", row, preset=today.preset.slug)
    post(today, "machine_terminate", row, disk="copy")
    today.wait(15)
    assert fresh(row).state == "terminated"
    assert Instance.objects.count() == 1


def test_of_a_machine_that_runs_the_page_says_to_stop_it_first(today: Stage, bigger: Preset) -> None:
    row = today.running()
    answer = post(today, "machine_resize", row, preset="project")
    assert answer.status_code == 409
    assert "Stop the machine first" in answer.content.decode()
    assert fresh(row).preset == today.preset


def test_deleting_with_a_copy_first_makes_the_copy(today: Stage) -> None:
    row = stopped(today)
    post(today, "machine_terminate", row, disk="copy")
    assert fresh(row).state == "stopped"
    today.wait(4)
    assert fresh(row).state == "terminated"
    home = text_of(signed_in(today.cast.student.user).get("/c/dl19/").content.decode())
    assert "Copies of your disks" in home
    assert "Restore to a new machine" in home


def test_deleting_for_good_is_the_other_choice(today: Stage) -> None:
    row = stopped(today)
    post(today, "machine_terminate", row, disk="gone")
    assert fresh(row).state == "terminating"
    assert not DiskSnapshot.objects.exists()


def test_without_money_for_the_copy_nothing_is_deleted(today: Stage) -> None:
    row = stopped(today)
    Instance.objects.filter(pk=row.pk).update(disk_gb=16000)
    answer = post(today, "machine_terminate", row, disk="copy")
    assert "is left" in text_of(answer.content.decode())
    assert fresh(row).state == "stopped"


def test_a_copy_is_restored_for_what_the_page_says_and_deleted_with_one_click(today: Stage) -> None:
    one = kept(today, stopped(today))
    client = signed_in(today.cast.student.user)
    where = reverse("copy_restore", args=["dl19", one.pk])
    assert "Its disk begins with your copy (16 GB of files)." in text_of(client.get(where).content.decode())
    client.post(where)
    new = Instance.objects.get(restored_from=one)
    assert new.state == "requested"
    delete = reverse("copy_delete", args=["dl19", one.pk])
    assert "A new machine is to begin with this copy" in client.post(delete, follow=True).content.decode()
    services.launch(new.pk, cloud=today.cloud, now=today.now)
    client.post(delete)
    one.refresh_from_db()
    assert one.standing == Standing.DELETING


def test_a_copy_whose_preset_is_offered_no_more_is_restored_as_another_kind(today: Stage) -> None:
    one = kept(today, stopped(today))
    other = other_preset(today, "second", "g4dn.xlarge")
    Preset.objects.filter(pk=one.instance.preset_id).update(enabled=False)
    Preset.objects.filter(pk=other.pk).update(name="Second", disk_gb=8)
    client = signed_in(today.cast.student.user)
    where = reverse("copy_restore", args=["dl19", one.pk])
    page = client.get(where).content.decode()
    assert "is not offered at the moment" in page
    assert '<a href="?preset=second">Second</a>' in page
    asked = text_of(client.get(f"{where}?preset=second").content.decode())
    assert "Launch Second?" in asked
    assert f"Its disk, {one.instance.disk_gb} GB" in asked  # its files must fit
    client.post(where, {"preset": "second"})
    new = Instance.objects.get(restored_from=one)
    assert (new.preset.slug, new.disk_gb) == ("second", one.instance.disk_gb)


def test_a_preset_of_another_course_is_none_to_restore_as(today: Stage) -> None:
    one = kept(today, stopped(today))
    theirs = other_preset(today, "theirs", "g4dn.xlarge")
    Preset.objects.filter(pk=theirs.pk).update(course=today.cast.other_course)
    client = signed_in(today.cast.student.user)
    answer = client.post(reverse("copy_restore", args=["dl19", one.pk]), {"preset": "theirs"})
    assert answer.status_code == 409
    assert "This preset does not exist" in answer.content.decode()
    assert not Instance.objects.filter(restored_from=one).exists()


def test_a_copy_says_how_long_it_is_kept_only_while_its_course_is_being_closed(today: Stage) -> None:
    one = kept(today, stopped(today))
    DiskSnapshot.objects.filter(pk=one.pk).update(keep_until=today.now + timedelta(days=2))
    home = reverse("course_home", args=["dl19"])
    client = signed_in(today.cast.student.user)
    assert "Kept until" not in client.get(home).content.decode()
    day = today.cast.course.ends_on + timedelta(days=60)
    closing.announce(today.cast.course, last_day=day, keep_days=7, who=today.cast.instructor.user, now=today.now)
    assert "Kept until" not in client.get(home).content.decode()  # that date was an earlier closing's
    until = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=8)
    DiskSnapshot.objects.filter(pk=one.pk).update(keep_until=until)
    assert "Kept until" in client.get(home).content.decode()


def test_staff_see_what_disks_and_copies_cost_and_set_the_policy(today: Stage) -> None:
    kept(today, stopped(today))
    client = signed_in(today.cast.ta.user)
    page = text_of(client.get("/c/dl19/staff/disks/").content.decode())
    assert "Disks cost $5.12 a month while they are there, copies at most $0.80." in page
    said = {"nightly_keep": 3, "archive_days": 14, "download_days": 30}
    answer = client.post("/c/dl19/staff/disks/", {**said, "archive_warn_days": 3})
    assert answer.status_code == 302
    assert DiskPolicy.objects.get().archive_days == 14
    answer = client.post("/c/dl19/staff/disks/", {**said, "archive_warn_days": 20})
    assert answer.status_code == 422
    assert "not more than the days above" in answer.content.decode()
