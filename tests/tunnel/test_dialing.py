"""Which machines dial out, what they are told, and how long what they dialled is believed."""

import json
import os
import subprocess
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytest_django.fixtures import Settings

from cloud.sim import room
from cloud.user_data import MOST_BYTES, packed
from credits import vault
from instances import dialing
from instances.boot import user_data
from instances.models import Instance, MachineTunnel, Policy, TunnelHost
from instances.reaching import TUNNEL_FRESH, notebook_at
from instances.sweeps.readiness import mark_ready
from tests.gateway.conftest import wait_until
from tests.instances.conftest import NOON, Stage, fresh
from tests.tunnel.conftest import SECONDS, Dialler

PORTAL = "https://gpu.cs.example.edu"


def told(row: Instance) -> dict[str, str]:
    text = user_data(row, Policy(), report_url=PORTAL)
    assert len(packed(text)) < MOST_BYTES
    return {entry["path"]: entry["content"] for entry in json.loads(text.partition("\n")[2])["write_files"]}


@pytest.mark.parametrize(("said", "dials"), [([], False), (["cv19"], False), (["dl19"], True), (["*"], True)])
def test_the_operator_says_whose_machines_dial_out(
    stage: Stage, settings: Settings, said: list[str], dials: bool
) -> None:
    settings.DIAL_OUT, settings.TUNNEL_ADDRESS = said, "tunnel.example.edu:2222"
    row = stage.click_launch()
    assert MachineTunnel.objects.filter(instance=row).exists() is dials
    assert any(path.startswith(dialing.FOLDER) for path in told(fresh(row))) is dials


def test_what_a_machine_is_told_is_frozen_and_its_secrets_are_sealed(stage: Stage, settings: Settings) -> None:
    settings.DIAL_OUT, settings.TUNNEL_ADDRESS = ["*"], "[2001:db8::7]:2222"
    row = stage.click_launch()
    first = told(fresh(row))
    settings.DIAL_OUT, settings.TUNNEL_ADDRESS = [], "elsewhere.example.edu:22"
    assert told(fresh(row)) == first
    tunnel, host = MachineTunnel.objects.get(), TunnelHost.objects.get()
    assert first[f"{dialing.FOLDER}/where"] == f"TUNNEL_SLUG={row.slug}\nTUNNEL_HOST=2001:db8::7\nTUNNEL_PORT=2222\n"
    assert first[f"{dialing.FOLDER}/known_hosts"] == f"lamplighter-tunnel {host.public_key}\n"
    assert first[f"{dialing.FOLDER}/key"] == vault.unseal(tunnel.private_key)
    assert "PRIVATE KEY" not in tunnel.private_key + host.private_key
    assert vault.unseal(host.private_key) not in "".join(first.values())


def test_each_launch_has_a_key_of_its_own(stage: Stage, settings: Settings) -> None:
    settings.DIAL_OUT, settings.TUNNEL_ADDRESS = ["*"], "tunnel.example.edu:2222"
    rows = [stage.click_launch(), stage.click_launch(stage.cast.other_student)]
    assert len({row.public_key for row in MachineTunnel.objects.filter(instance__in=rows)}) == 2
    assert TunnelHost.objects.count() == 1


def test_a_tunnel_counts_as_long_as_the_endpoint_confirms_it() -> None:
    tunnel = SimpleNamespace(inside="10.0.0.5", port=40001, seen_at=NOON)
    row = SimpleNamespace(private_ip="10.9.9.9", tunnel=tunnel)
    assert notebook_at(row, NOON + TUNNEL_FRESH - timedelta(seconds=1)) == "10.0.0.5:40001"  # type: ignore[arg-type]
    assert notebook_at(row, NOON + TUNNEL_FRESH) is None  # type: ignore[arg-type]
    tunnel.inside, tunnel.port = None, None
    assert notebook_at(row, NOON) is None  # type: ignore[arg-type]
    assert notebook_at(SimpleNamespace(private_ip="fd00::1"), NOON) == "[fd00::1]:8888"  # type: ignore[arg-type]
    assert notebook_at(SimpleNamespace(private_ip=None), NOON) is None  # type: ignore[arg-type]


def test_a_machine_is_ready_when_its_notebook_answers_through_its_tunnel(stage: Stage, settings: Settings) -> None:
    settings.DIAL_OUT, settings.TUNNEL_ADDRESS = ["*"], "tunnel.example.edu:2222"
    row = stage.running()
    stage.wait(10)
    assert fresh(row).notebook_ready_at is None  # whatever its agent says: nobody could go in
    MachineTunnel.objects.update(inside="10.0.0.5", port=40001, seen_at=stage.now)
    asked: list[str] = []
    assert mark_ready(lambda places: [not asked.append(place) for place in places], stage.now) == 1  # type: ignore[func-returns-value]
    assert asked == ["10.0.0.5:40001"]


# ------------------------------------------------------------------ on the machine
@pytest.mark.ssh
def test_a_machine_in_the_room_dials_out_by_itself(dialler: Dialler, tmp_path: Path) -> None:
    """Booted from its user data; a web server in place of JupyterLab, which has tests of its own."""
    building = room.Room(tmp_path / "room", lambda _cloud_id: None)
    try:
        jupyter = building.root("i-0dials") / "home/ubuntu/.lamplighter/bin/jupyter-lab"
        jupyter.parent.mkdir(parents=True)
        jupyter.write_text("#!/bin/sh\nexec sleep 600\n")  # the test's own fake machine answers at that address
        jupyter.chmod(0o755)
        building.boot("i-0dials", dialler.bind, user_data(dialler.instance, Policy(), report_url="http://127.0.0.1:9"))
        wait_until(dialler.stands, "it has dialled in", SECONDS)
        building.halt("i-0dials")
        wait_until(lambda: not dialler.stands(), "it is off", SECONDS)
    finally:
        building.close()


@pytest.mark.parametrize(("slug", "kept"), [("mtest", True), ("mother", False)])
def test_a_disk_of_another_machine_never_dials_as_that_one(tmp_path: Path, slug: str, kept: bool) -> None:
    asked, root = tmp_path / "asked", tmp_path / "root"
    for folder in ("run/systemd/system", "etc/lamplighter/tunnel", "etc/systemd/system", "var/lib/cloud", "tools"):
        (root / folder).mkdir(parents=True)
    (root / "tools/systemctl").write_text(f'#!/bin/sh\necho "$@" >>{asked}\n')
    (root / "tools/systemctl").chmod(0o755)
    (root / "etc/lamplighter/machine.json").write_text(json.dumps({"secret": "s", "slug": slug}))
    for name, text in {"key": "a key", "where": "TUNNEL_SLUG=mtest\nTUNNEL_HOST=h\nTUNNEL_PORT=1\n"}.items():
        (root / "etc/lamplighter/tunnel" / name).write_text(text)
    environment = {"PATH": f"{root}/tools:{os.environ['PATH']}", "LAMPLIGHTER_ROOT": str(root)}
    script = Path(dialing.__file__).with_name("agent") / "boot.sh"
    subprocess.run(["sh", str(script)], env=environment, check=True, timeout=30)
    assert (root / "etc/lamplighter/tunnel").exists() is kept
    lines = asked.read_text().splitlines()
    assert ("start lamplighter-tunnel" in lines) is kept
    assert not [line for line in lines if line.startswith("enable") and "tunnel" in line]
