"""The simulated machines and their machine room: in which order things happen, and that one lock guards them."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from cloud.sim.machine import Machine
from cloud.sim.rules import Rules
from cloud.sim.store import Store
from cloud.sim.world import LaunchRequest, World
from tests.simulated_aws import until


class Shelf:
    """Stands for the base server: these tests ask nothing over HTTP."""

    def make(self, machine: Machine) -> None:
        time.sleep(0.02)  # long enough for another caller to come between

    def show(self, machine: Machine) -> None: ...
    def destroy(self, machine: Machine) -> None: ...
    def forget(self, cloud_id: str) -> None: ...


class SlowRoom:
    """Writes down what is asked of it; a halt takes until it is let go."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, ...]] = []
        self.may_halt = threading.Event()
        self.may_halt.set()

    def boot(self, cloud_id: str, private_ip: str, user_data: str) -> None:
        self.heard.append(("boot", private_ip, user_data))

    def halt(self, cloud_id: str, *, force: bool = False) -> None:
        self.may_halt.wait(10)
        self.heard.append(("halt", "force" if force else ""))

    def erase(self, cloud_id: str) -> None:
        self.heard.append(("erase",))

    def close(self) -> None:
        self.heard.append(("close",))


@pytest.fixture
def room() -> SlowRoom:
    return SlowRoom()


@pytest.fixture
def make_world(tmp_path: Path, room: SlowRoom) -> Iterator[Callable[..., World]]:
    made: list[tuple[World, Store]] = []

    def make(**rules: float) -> World:
        store = Store(tmp_path / "aws.sqlite3")
        kept: Any = Rules(**{"boot_seconds": 0, "stop_seconds": 0, **rules})
        world = World(Shelf(), store, kept, lambda _zone, number: f"127.50.0.{number + 10}")
        world.room = room
        made.append((world, store))
        return world

    yield make
    room.may_halt.set()
    for world, store in made:
        world.close()
        store.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


def request(token: str = "t-1", **changes: str) -> LaunchRequest:
    fields: dict[str, Any] = {
        "token": token,
        "fingerprint": "same",
        "zone": "us-east-1a",
        "instance_type": "g4dn.xlarge",
        "shutdown_behavior": "stop",
        "launch": {"user_data": "I2Nsb3Vk"},
    }
    return LaunchRequest(**{**fields, **changes})


def up(world: World, **changes: str) -> Machine:
    machine = world.launch(request(**changes))
    world.settle()
    assert machine.state == "running"
    return machine


def test_a_machine_is_booted_with_its_address_and_user_data_when_it_is_running(
    make_world: Callable[..., World], room: SlowRoom
) -> None:
    world = make_world(boot_seconds=0.2)
    machine = world.launch(request())
    world.settle()
    assert (machine.state, room.heard) == ("pending", [])
    until(lambda: world.settle() and machine.state == "running")
    assert room.heard == [("boot", "127.50.0.10", "#cloud")]


def test_a_machine_is_not_stopped_before_its_processes_are_gone_but_billing_ends_at_once(
    world: World, room: SlowRoom
) -> None:
    machine = up(world)
    room.may_halt.clear()
    world.stop([machine.cloud_id])
    billed = machine.ran_seconds(time.time())
    time.sleep(0.3)
    world.settle()
    assert machine.state == "stopping"
    room.may_halt.set()
    until(lambda: world.settle() and machine.state == "stopped")
    assert machine.ran_seconds(time.time()) == billed


def test_a_started_machine_boots_again_with_the_same_user_data(world: World, room: SlowRoom) -> None:
    machine = up(world)
    world.stop([machine.cloud_id])
    until(lambda: world.settle() and machine.state == "stopped")
    world.start([machine.cloud_id])
    world.settle()
    boot = ("boot", "127.50.0.10", "#cloud")
    assert room.heard == [boot, ("halt", ""), boot]


def test_a_terminated_machine_is_cut_off_and_its_disk_erased(world: World, room: SlowRoom) -> None:
    machine = up(world)
    world.terminate([machine.cloud_id])
    until(lambda: world.settle() and machine.state == "terminated")
    assert room.heard[1:] == [("halt", "force"), ("erase",)]
    assert machine.user_data == ""


@pytest.mark.parametrize(("behavior", "end"), [("stop", "stopped"), ("terminate", "terminated")])
def test_powering_off_from_inside_honours_the_shutdown_behaviour(world: World, behavior: str, end: str) -> None:
    machine = up(world, shutdown_behavior=behavior)
    world.power_off(machine.cloud_id)
    until(lambda: world.settle() and machine.state == end)
    world.power_off(machine.cloud_id)
    assert machine.state == end


def test_a_machine_that_cannot_boot_is_running_all_the_same(world: World, room: SlowRoom) -> None:
    def no_room(*_args: str) -> None:
        raise OSError("no disk")

    room.boot = no_room
    assert up(world).state == "running"


def test_an_address_is_never_handed_on_to_the_next_machine(world: World) -> None:
    first = up(world)
    world.terminate([first.cloud_id])
    until(lambda: world.settle() and first.state == "terminated")
    assert up(world, token="t-2").private_ip != first.private_ip


# ------------------------------------------------------------------ at once


def launch_at_once(world: World) -> int:
    together = threading.Barrier(8)

    def ask(_number: int) -> Machine:
        together.wait(10)
        return world.launch(request())

    with ThreadPoolExecutor(8) as callers:
        list(callers.map(ask, range(8)))
    return len(world.machines)


def test_eight_callers_with_one_token_get_one_machine(world: World) -> None:
    assert launch_at_once(world) == 1


def test_control_without_the_lock_they_get_several(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    make = world._base.make

    def slowly(machine: Machine) -> None:
        time.sleep(0.1)
        make(machine)

    monkeypatch.setattr(world._base, "make", slowly)
    world.lock = nullcontext()
    assert launch_at_once(world) > 1


def test_a_lasting_spot_request_makes_its_next_machine_until_it_is_cancelled(world: World) -> None:
    machine = up(world, spot_request="sir-1")
    world.terminate([machine.cloud_id])
    [again] = [one for one in world.machines.values() if one.cloud_id != machine.cloud_id]
    assert (again.spot_request, again.token) == ("sir-1", "")
    world.cancel_spot(["sir-1"])
    world.terminate([again.cloud_id])
    assert len(world.machines) == 2
