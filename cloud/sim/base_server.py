"""The base: moto's EC2 objects, made with ids that we choose. All that knows moto's insides about machines is here."""

import hashlib
import itertools
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from moto.core.types import Base64EncodedString
from moto.ec2 import utils as moto_ids
from moto.ec2.models import ec2_backends
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.instances import Instance, StateReason

from cloud.sim.machine import STATE_CODES, Machine

ACCOUNT = "123456789012"
_choosing = threading.RLock()


def backend(region: str, account: str = ACCOUNT) -> Any:
    return ec2_backends[account][region]


@contextmanager
def ids_ending(suffix: str) -> Iterator[None]:
    """Every id that moto makes inside ends with `suffix` (a second one of a kind: with a hash of it).

    For one thread at a time: each account's callers hold only their own world's lock.
    """
    counters: dict[str, Iterator[int]] = defaultdict(itertools.count)

    def chosen(prefix: str = "", size: int = 17) -> str:
        number = next(counters[prefix])
        again = hashlib.sha256(f"{suffix}{number}".encode()).hexdigest()[:17]
        return f"{prefix}-{again if number else suffix}"

    with _choosing:
        original = moto_ids.random_id
        moto_ids.random_id = chosen
        try:
            yield
        finally:
            moto_ids.random_id = original


def _own_tags(resource: Any) -> list[dict[str, str]]:
    """moto looks for one machine's tags among those of all: a describe of 300 machines took 1.4 s."""
    tags = resource.ec2_backend.tags.get(resource.id, {})
    return [{"key": key, "value": value} for key, value in tags.items()]


class BaseMachines:
    """The base server's own record of each machine, for everything we do not make stricter (volumes, tags, status)."""

    def __init__(self, region: str, account: str = ACCOUNT) -> None:
        TaggedEC2Resource.get_tags = _own_tags
        self.backend = backend(region, account)
        self._instances: dict[str, Instance] = {}

    def make(self, machine: Machine) -> None:
        """Asks the base server to launch it: new, or again after a restart."""
        asked = dict(machine.launch)
        positional = [asked.pop(name) for name in ("image_id", "count", "user_data", "security_group_names")]
        positional[2] = Base64EncodedString(positional[2]) if positional[2] else None
        with ids_ending(machine.suffix):
            reservation = self.backend.run_instances(*positional, **asked, private_ip=machine.private_ip)
        self.backend.create_tags([f"eni-{machine.suffix}"], asked["tags"].get("network-interface", {}))
        self._instances[machine.cloud_id] = reservation.instances[0]
        self.show(machine)

    def know_image(self, image_id: str, name: str) -> None:
        """So that it launches machines of it; what it says about the image is not used."""
        if image_id not in self.backend.amis:
            with ids_ending(image_id.removeprefix("ami-")):
                self.backend.register_image(name=name)

    def forget_image(self, image_id: str) -> None:
        if image_id in self.backend.amis:
            self.backend.deregister_image(image_id)

    def show(self, machine: Machine) -> None:
        """The base server tells what we know: state, reasons, launch time."""
        instance = self._instances[machine.cloud_id]
        instance._state.name = machine.state
        instance._state.code = STATE_CODES[machine.state]
        instance.instance_type = machine.instance_type
        if machine.spot_request:
            instance.spot_instance_request_id, instance.instance_lifecycle = machine.spot_request, "spot"
        instance._reason = machine.transition
        code, text = machine.reason
        instance.state_reason = StateReason(f"{code}: {text}" if code else "", code)
        instance.launch_time = datetime.fromtimestamp(machine.launch_time, UTC).replace(tzinfo=None)

    def destroy(self, machine: Machine) -> None:
        """Its disk and addresses are gone; it is still listed, as terminated."""
        instance = self._instances[machine.cloud_id]
        instance.terminate()
        self.backend.get_subnet(instance.subnet_id).del_subnet_ip(machine.private_ip)
        instance._private_ips.clear()
        self.show(machine)

    def forget(self, cloud_id: str) -> None:
        if self._instances.pop(cloud_id, None):
            self.backend.reservations.pop(f"r-{cloud_id.removeprefix('i-')}", None)

    def get(self, cloud_id: str) -> Instance:
        return self._instances[cloud_id]
