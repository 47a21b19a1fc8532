"""A machine of the machine room packs its home directory for the simulated S3, and the file comes back whole."""

import hashlib
import io
import os
import signal
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from cloud import backends
from cloud.sim.room import marked
from instances import homes, sweeps
from instances.home_records import HomeArchive, HomePart
from instances.models import Instance
from tests.machine.conftest import Lit, until
from tests.simulated_aws import SimulatedAws, aws_credentials, sim, simulated_aws

__all__ = ["aws_credentials", "sim", "simulated_aws"]
pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
MACHINE, ADDRESS = "i-0home", "127.88.4.10"


@pytest.fixture
def bucket(sim: SimulatedAws, settings: Settings) -> Iterator[SimulatedAws]:
    settings.ARCHIVE_BUCKET, settings.AWS_ENDPOINT_URL = sim.network["bucket"], sim.url
    backends.files.cache_clear()
    yield sim
    backends.files.cache_clear()


def packers(root: Path) -> list[int]:
    """The packing programs that run on this machine."""
    return [pid for pid in marked(root) if b"Packs a home directory" in _command(pid)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_it_comes_back_whole_although_its_packer_was_killed(
    lit: Lit, machine: Instance, live_server: LiveServer, bucket: SimulatedAws
) -> None:
    Instance.objects.filter(pk=machine.pk).update(slug=MACHINE.replace("i-", "m"))
    machine.refresh_from_db()
    root = lit.room.root(lit.without_notebook(MACHINE))
    work = root / "home/ubuntu/work"
    work.mkdir()
    noise = os.urandom(40 * 2**20)  # three parts
    (work / "model.bin").write_bytes(noise)
    (work / "notes.txt").write_text("a term's work")
    home = homes.request_home(machine, who=None, now=timezone.now())
    sweeps.homes(backends.files(), timezone.now())
    bucket.fault("SignedPUT", "ConnectionDropped", times=None)  # nothing arrives: it tries again and again
    lit.boot(MACHINE, ADDRESS, live_server.url)
    until(HomePart.objects.filter(archive=home).exists, 90)
    until(lambda: packers(root))
    for pid in packers(root):
        os.kill(pid, signal.SIGKILL)
    bucket.heal()

    def ready() -> bool:
        sweeps.homes(backends.files(), timezone.now())
        return HomeArchive.objects.filter(pk=home.pk, ready_at__isnull=False).exists()

    until(ready, 120, "not ready")
    until(lambda: not packers(root))
    lit.room.halt(MACHINE)
    home.refresh_from_db()
    assert home.parts.filter(sent_at__isnull=False).count() == 3
    url = backends.files().download_url(home.key, name="files.tar.gz", seconds=60)  # type: ignore[union-attr]
    with urllib.request.urlopen(url, timeout=60) as answer:
        content = answer.read()
    assert len(content) == home.size_bytes
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as whole:
        found = {one.name: one for one in whole.getmembers()}
        model = whole.extractfile(found["home/work/model.bin"])
        notes = whole.extractfile(found["home/work/notes.txt"])
        assert model
        assert notes
        assert hashlib.sha256(model.read()).digest() == hashlib.sha256(noise).digest()
        assert notes.read() == b"a term's work"
    assert not [name for name in found if ".lamplighter" in name]
