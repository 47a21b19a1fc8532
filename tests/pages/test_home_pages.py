"""Packed files as their owner sees them: asked for, how far, ready, fetched by an address that nobody else sees."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core import mail
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from cloud import backends
from cloud.fake_files import FakeFiles
from cloud.files import Part, checksum_of
from courses.models import Course
from instances import home_views, sweeps, tasks
from instances.home_records import HomeArchive, HomeDownload
from instances.models import Instance
from tests.instances.conftest import Stage, fresh
from tests.pages.conftest import signed_in
from tests.pages.test_course_home import text_of


@pytest.fixture
def bucket(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeFiles]:
    settings.ARCHIVE_BUCKET = "homes"
    made = FakeFiles(timezone.now)
    for module in (home_views, tasks):
        monkeypatch.setattr(module, "files", lambda: made)
    yield made
    backends.files.cache_clear()


def page(today: Stage, row: Instance) -> str:
    return text_of(signed_in(today.cast.student.user).get(reverse("machine", args=[row.slug])).content.decode())


def ready(row: Instance, **more: object) -> HomeArchive:
    now = timezone.now()
    facts = {"owner": row.owner, "course": row.course, "part_bytes": 1, "asked_at": now, "packed_at": now}
    facts |= {"ready_at": now, "expires_at": now + timedelta(days=30), "size_bytes": 3 * 2**30, "files": 12}
    return HomeArchive.objects.create(instance=row, **facts | more)


def test_a_deleted_machine_has_nothing_to_pack_but_what_was_packed_is_there(today: Stage, bucket: FakeFiles) -> None:
    row = today.running()
    assert "Take my files" in page(today, row)
    Instance.objects.filter(pk=row.pk).update(state="terminated")
    assert "Take my files" not in page(today, row)
    ready(row)
    assert "Ready: 12 files, 3.0" in page(today, row)


def test_what_was_promised_can_be_fetched_when_the_course_lets_nobody_in_any_more(
    today: Stage, bucket: FakeFiles
) -> None:
    row = today.running()
    home = ready(row)
    Course.objects.update(ends_on=timezone.now().date() - timedelta(days=9), alumni_for=timedelta(days=2))
    client = signed_in(today.cast.student.user)
    assert client.get(reverse("machine", args=[row.slug])).status_code == 404
    assert "Your files to take along" in client.get(reverse("me")).content.decode()
    url = reverse("machine_files_fetch", args=[row.slug, home.pk])
    assert client.post(url, {"from": "me"}).status_code == 303
    assert signed_in(today.cast.other_student.user).post(url).status_code == 404


def test_a_download_that_is_there_is_shown_whatever_was_tried_after_it(today: Stage, bucket: FakeFiles) -> None:
    row = today.running()
    ready(row, asked_at=timezone.now() - timedelta(days=1))
    for _time in range(4):
        ready(row, ready_at=None, expires_at=None, failed_at=timezone.now(), reason="Called off")
    assert "Ready: 12 files" in page(today, row)


def test_without_a_bucket_nothing_is_offered(today: Stage, settings: Settings) -> None:
    settings.ARCHIVE_BUCKET = ""
    assert "Take my files" not in page(today, today.running())


def test_one_click_asks_for_it_and_the_page_says_how_far_it_is(today: Stage, bucket: FakeFiles) -> None:
    row = today.running()
    client = signed_in(today.cast.student.user)
    assert "Pack my files" in page(today, row)
    said = client.post(reverse("machine_files", args=[row.slug]), follow=True).content.decode()
    assert "Your files are being packed" in text_of(said)
    home = HomeArchive.objects.get()
    assert "begins within a minute or two" in page(today, row)
    HomeArchive.objects.update(sent_bytes=10, read_bytes=2**30, total_bytes=4 * 2**30)
    shown = page(today, row)
    assert "25 %" in shown
    assert "Pack my files" not in shown
    client.post(reverse("machine_files_drop", args=[row.slug, home.pk]))
    home.refresh_from_db()
    assert home.failed_at
    assert "Called off" in page(today, row)


def test_a_click_on_download_is_written_down_and_leads_to_an_address_of_minutes(
    today: Stage, bucket: FakeFiles
) -> None:
    row = today.running()
    home = ready(row)
    assert "Ready: 12 files, 3.0" in page(today, row)
    answer = signed_in(today.cast.student.user).post(reverse("machine_files_fetch", args=[row.slug, home.pk]))
    assert answer.status_code == 303
    assert answer["Location"].startswith(f"fake://{home.key}?name=dl19-{row.slug}")
    assert answer["Location"].endswith("seconds=300")
    assert "no-store" in answer["Cache-Control"]
    assert HomeDownload.objects.get().who == today.cast.student.user
    assert answer["Location"] not in page(today, row)


def test_it_can_be_fetched_when_the_machine_is_gone_and_not_when_its_day_is_over(
    today: Stage, bucket: FakeFiles
) -> None:
    row = today.stop(today.running())
    home = ready(row)
    Instance.objects.filter(pk=row.pk).update(state="terminated", state_since=timezone.now())
    assert "Download" in page(today, row)
    HomeArchive.objects.update(expires_at=timezone.now())
    answer = signed_in(today.cast.student.user).post(
        reverse("machine_files_fetch", args=[row.slug, home.pk]), follow=True
    )
    assert "not there any more" in text_of(answer.content.decode())
    assert not HomeDownload.objects.exists()


def test_a_stopped_machine_says_what_its_start_for_that_costs(today: Stage, bucket: FakeFiles) -> None:
    row = today.stop(today.running())
    today.wait(1)
    assert "The machine is started for it ($0.531 an hour" in page(today, row)
    signed_in(today.cast.student.user).post(reverse("machine_files", args=[row.slug]))
    assert fresh(row).state == "launching"
    assert HomeArchive.objects.get().instance_id == row.pk
    assert "begins within a minute or two" in page(today, row)


def test_staff_see_the_machine_and_nothing_of_the_files(today: Stage, bucket: FakeFiles) -> None:
    row = today.running()
    home = ready(row)
    instructor = signed_in(today.cast.instructor.user)
    assert "Take my files" not in instructor.get(reverse("machine", args=[row.slug])).content.decode()
    assert instructor.post(reverse("machine_files_fetch", args=[row.slug, home.pk])).status_code == 404


def test_the_mail_leads_to_the_page_and_not_to_the_file(today: Stage, bucket: FakeFiles) -> None:
    row = today.running()
    home = ready(row, ready_at=None, expires_at=None, upload_id=bucket.begin("x"))
    home.parts.create(number=1, size=4, sha256="eHh4", signed_at=today.now, sent_at=today.now)
    bucket.faults.on_call("look", lambda _key: bucket.objects.update({home.key: (b"here", _sum(home))}))
    bucket.unfinished.clear()
    mail.outbox.clear()
    sweeps.homes(bucket, timezone.now())
    sweeps.notices(timezone.now())
    [letter] = mail.outbox
    assert "Your files are ready" in letter.subject
    assert f"/machines/{row.slug}/" in letter.body
    assert "fake://" not in letter.body


def _sum(home: HomeArchive) -> str:
    return checksum_of([Part(one.number, one.etag, one.sha256) for one in home.parts.all()])
