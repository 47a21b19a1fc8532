"""A click on "Download" in a real browser leads out of the portal to the bucket, and the file is saved whole."""

import base64
import hashlib
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as live
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from cloud import backends
from cloud.files import Part
from instances.home_records import HomeArchive, HomeDownload
from tests.browser import chromium
from tests.instances.conftest import Stage
from tests.pages.conftest import signed_in
from tests.simulated_aws import SimulatedAws, aws_credentials, sim, simulated_aws

__all__ = ["aws_credentials", "sim", "simulated_aws"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def bucket(sim: SimulatedAws, settings: Settings) -> Iterator[None]:
    settings.ARCHIVE_BUCKET, settings.AWS_ENDPOINT_URL = sim.network["bucket"], sim.url
    backends.files.cache_clear()
    yield
    backends.files.cache_clear()


def ready(today: Stage, content: bytes) -> HomeArchive:
    """A stopped machine whose files are in the bucket."""
    row, now, files = today.stop(today.running()), timezone.now(), backends.files()
    assert files
    facts = {"owner": row.owner, "course": row.course, "part_bytes": 1, "asked_at": now, "packed_at": now}
    facts |= {"ready_at": now, "expires_at": now + timedelta(days=30), "size_bytes": len(content), "files": 1}
    home = HomeArchive.objects.create(instance=row, **facts)
    upload, sha256 = files.begin(home.key), base64.b64encode(hashlib.sha256(content).digest()).decode()
    signed = files.part_url(home.key, upload, 1, size=len(content), sha256=sha256, seconds=60)
    headers = {"Content-Type": "application/gzip", **signed.headers}
    with urllib.request.urlopen(urllib.request.Request(signed.url, content, headers, method="PUT"), timeout=20) as put:
        files.complete(home.key, upload, [Part(1, put.headers["ETag"], sha256)])
    return home


def opened(page: Page, today: Stage, url: str) -> None:
    cookie = signed_in(today.cast.student.user).cookies[live.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": live.SESSION_COOKIE_NAME, "value": cookie, "url": url}])
    page.goto(url)


def test_the_file_is_saved_by_one_click(today: Stage, bucket: None, live_server: LiveServer, tmp_path: Path) -> None:
    content = b"packed files " * 1000
    home = ready(today, content)
    with chromium() as browser:
        page = browser.new_page(accept_downloads=True)
        opened(page, today, f"{live_server.url}/machines/{home.instance.slug}/")
        with page.expect_download() as got:
            page.locator(f"#home-fetch-{home.pk}").click()
        got.value.save_as(tmp_path / "saved")
        assert got.value.suggested_filename == f"dl19-{home.instance.slug}-{home.asked_at:%Y-%m-%d}.tar.gz"
        expect(page.locator("form[data-saves]")).not_to_have_attribute("data-sent", "")  # it may be asked for again
    assert (tmp_path / "saved").read_bytes() == content
    assert HomeDownload.objects.get().who == today.cast.student.user
