"""Snapshots and images of the simulated account: pending, then completed; the files are really kept in the room.

Knows no HTTP. What was made survives a restart of the simulator, with the same ids.
"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from cloud.sim.base_server import BaseMachines
from cloud.sim.errors import Ec2Error
from cloud.sim.machine import Machine
from cloud.sim.rooms import MachineRoom
from cloud.sim.rules import Rules
from cloud.sim.store import Store

_TAKEABLE = frozenset({"running", "stopping", "stopped"})


@dataclass(slots=True)
class Snapshot:
    snapshot_id: str
    volume_id: str
    disk_gb: int
    description: str
    started_at: float
    done_at: float
    stored_bytes: int
    tags: dict[str, str] = field(default_factory=dict)

    def state(self, now: float) -> str:
        return "completed" if now >= self.done_at else "pending"


@dataclass(slots=True)
class Image:
    image_id: str
    name: str
    snapshot_id: str
    disk_gb: int
    root_device: str
    created_at: float
    tags: dict[str, str] = field(default_factory=dict)


class Disks:
    def __init__(self, base: BaseMachines, store: Store, rules: Rules, room: Callable[[], MachineRoom]) -> None:
        self.lock = threading.RLock()
        self.snapshots: dict[str, Snapshot] = {}
        self.images: dict[str, Image] = {}
        self._base = base
        self._store = store
        self._rules = rules
        self._room = room

    # -------------------------------------------------------------- snapshots
    def take(self, machine: Machine, tags: Mapping[str, str], description: str) -> Snapshot:
        if machine.state not in _TAKEABLE:
            raise Ec2Error("IncorrectState", f"The instance {machine.cloud_id} is {machine.state}.")
        now = time.time()
        found = Snapshot(
            snapshot_id=f"snap-{secrets.token_hex(9)[:17]}",
            volume_id=f"vol-{machine.suffix}",
            disk_gb=machine.disk_gb,
            description=description,
            started_at=now,
            done_at=now + self._rules.snapshot_seconds,
            stored_bytes=0,
            tags=dict(tags),
        )
        found.stored_bytes = self._room().keep_disk(machine.cloud_id, found.snapshot_id)
        with self.lock:
            self.snapshots[found.snapshot_id] = found
            self._store.put("snapshot", found.snapshot_id, asdict(found))
        return found

    def delete(self, snapshot_id: str) -> None:
        with self.lock:
            if snapshot_id not in self.snapshots:
                raise Ec2Error("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
            users = [one.image_id for one in self.images.values() if one.snapshot_id == snapshot_id]
            if users:
                text = f"The snapshot {snapshot_id} is currently in use by {users[0]}"
                raise Ec2Error("InvalidSnapshot.InUse", text)
            del self.snapshots[snapshot_id]
            self._store.drop("snapshot", snapshot_id)
        self._room().forget_disk(snapshot_id)

    # -------------------------------------------------------------- images
    def register(self, name: str, snapshot_id: str, root_device: str, tags: Mapping[str, str]) -> Image:
        with self.lock:
            self._refuse_taken(name)
            snapshot = self.snapshots.get(snapshot_id)
            if snapshot is None:
                raise Ec2Error("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
            if snapshot.state(time.time()) != "completed":
                raise Ec2Error("InvalidParameterValue", f"Snapshot {snapshot_id} is not in the completed state.")
            return self._new_image(name, snapshot, root_device, tags)

    def save(self, machine: Machine, name: str, tags: Mapping[str, str], snapshot_tags: Mapping[str, str]) -> Image:
        with self.lock:
            self._refuse_taken(name)
        snapshot = self.take(machine, snapshot_tags, f"Created by CreateImage({machine.cloud_id})")
        with self.lock:
            return self._new_image(name, snapshot, "/dev/sda1", tags)

    def _refuse_taken(self, name: str) -> None:
        taken = [one.image_id for one in self.images.values() if one.name == name]
        if taken:
            text = f"AMI name {name} is already in use by AMI {taken[0]}"
            raise Ec2Error("InvalidAMIName.Duplicate", text)

    def _new_image(self, name: str, snapshot: Snapshot, root_device: str, tags: Mapping[str, str]) -> Image:
        image = Image(
            image_id=f"ami-{secrets.token_hex(9)[:17]}",
            name=name,
            snapshot_id=snapshot.snapshot_id,
            disk_gb=snapshot.disk_gb,
            root_device=root_device,
            created_at=time.time(),
            tags=dict(tags),
        )
        self.images[image.image_id] = image
        self._base.know_image(image.image_id, name)
        self._store.put("image", image.image_id, asdict(image))
        return image

    def deregister(self, image_id: str) -> None:
        with self.lock:
            if self.images.pop(image_id, None) is None:
                raise Ec2Error("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
            self._base.forget_image(image_id)
            self._store.drop("image", image_id)

    def is_listed(self, image: Image) -> bool:
        return time.time() - image.created_at >= self._rules.hidden_image_seconds

    def state_of(self, image: Image) -> str:
        snapshot = self.snapshots.get(image.snapshot_id)
        return "pending" if snapshot and snapshot.state(time.time()) == "pending" else "available"

    def source_of(self, image_id: str, disk_gb: int) -> str:
        """The snapshot that a machine of this image begins with; nothing for the images of the base."""
        image = self.images.get(image_id)
        if image is None:
            return ""
        if self.state_of(image) != "available":
            raise Ec2Error("InvalidAMIID.Unavailable", f"The image ID '{image_id}' is not available.")
        if disk_gb < image.disk_gb:
            text = f"Volume of size {disk_gb}GB is smaller than snapshot '{image.snapshot_id}', expect size >= "
            raise Ec2Error("InvalidBlockDeviceMapping", f"{text}{image.disk_gb}GB")
        return image.snapshot_id

    def restore(self) -> None:
        with self.lock:
            for stored in self._store.all("snapshot").values():
                self.snapshots[stored["snapshot_id"]] = Snapshot(**stored)
            for stored in self._store.all("image").values():
                image = self.images[stored["image_id"]] = Image(**stored)
                self._base.know_image(image.image_id, image.name)
