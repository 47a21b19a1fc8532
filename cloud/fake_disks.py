"""Snapshots and images of the in-memory cloud: virtual time, and the same faults as its machines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cloud.base import CloudError, CloudState, NotFound, Outcome, Refused, Transient, WrongState
from cloud.disks import ImageView, SnapshotSpec, SnapshotState, SnapshotView
from cloud.fake_faults import Faults
from cloud.fake_machine import FakeMachine

_TAKEABLE = frozenset({CloudState.RUNNING, CloudState.STOPPED, CloudState.STOPPING})


@dataclass(slots=True)
class FakeSnapshot:
    installation: str
    view: SnapshotView
    done_at: datetime
    content: str  # of which machine's disk, at which moment: what a restored machine must find


@dataclass(slots=True)
class FakeImage:
    installation: str
    view: ImageView
    content: str


class FakeDisks:
    """`snapshot_seconds`, `fails` (the next snapshots end in error), `hidden_seconds` (a new snapshot or image is not
    listed for so long) may be changed at any time."""

    def __init__(
        self,
        machines: Callable[[], Mapping[str, FakeMachine]],
        faults: Faults,
        clock: Callable[[], datetime],
        installation: str,
    ) -> None:
        self._machines = machines
        self._faults = faults
        self._clock = clock
        self.installation = installation
        self.snapshot_seconds = 0.0
        self.fails = False
        self.hidden_seconds = 0.0
        self.kept: dict[str, FakeSnapshot] = {}  # the truth: every snapshot that still costs something
        self.images_kept: dict[str, FakeImage] = {}
        self._made = 0

    # -------------------------------------------------------------- the protocol
    def snapshot(self, spec: SnapshotSpec) -> SnapshotView:
        return self._faults.around("snapshot", (spec,), lambda: self._snapshot(spec))

    def snapshots(self) -> list[SnapshotView]:
        return self._faults.around("snapshots", (), self._listed)

    def exist(self, snapshot_ids: Sequence[str]) -> set[str]:
        return self._faults.around("exist", (snapshot_ids,), lambda: self.kept.keys() & set(snapshot_ids))

    def delete_snapshots(self, snapshot_ids: Sequence[str]) -> list[Outcome]:
        ids = list(dict.fromkeys(snapshot_ids))
        try:
            return self._faults.around("delete_snapshots", (ids,), lambda: [self._delete(one) for one in ids])
        except CloudError as error:
            return [Outcome(one, error) for one in ids]

    def image_of(self, snapshot_id: str, *, name: str) -> str:
        return self._faults.around("image_of", (snapshot_id, name), lambda: self._image_of(snapshot_id, name))

    def save_image(self, cloud_id: str, *, name: str) -> str:
        return self._faults.around("save_image", (cloud_id, name), lambda: self._save_image(cloud_id, name))

    def images(self) -> list[ImageView]:
        return self._faults.around("images", (), self._images_listed)

    def image(self, image_id: str) -> ImageView | None:
        return self._faults.around("image", (image_id,), lambda: self._image_by_id(image_id))

    def delete_image(self, image_id: str) -> None:
        self._faults.around("delete_image", (image_id,), lambda: self.images_kept.pop(image_id, None))

    # -------------------------------------------------------------- how it works
    def _snapshot(self, spec: SnapshotSpec) -> SnapshotView:
        machine = self._machine(spec.cloud_id)
        return self._keep(spec.key, machine, f"{machine.cloud_id} at {self._clock():%H:%M:%S}").view

    def _machine(self, cloud_id: str) -> FakeMachine:
        machine = self._machines().get(cloud_id)
        if machine is None or machine.state is CloudState.TERMINATED:
            raise NotFound(f"The instance ID '{cloud_id}' does not exist", code="InvalidInstanceID.NotFound")
        if machine.state not in _TAKEABLE:
            raise WrongState(f"{cloud_id} is {machine.state}.", code="IncorrectState")
        return machine

    def _keep(self, key: str, machine: FakeMachine, content: str) -> FakeSnapshot:
        self._made += 1
        now = self._clock()
        view = SnapshotView(
            snapshot_id=f"snap-{self._made:017x}",
            key=key,
            state=SnapshotState.PENDING,
            disk_gb=machine.spec.disk_gb,
            stored_bytes=None,
            started_at=now,
        )
        done_at = now + timedelta(seconds=self.snapshot_seconds)
        self.kept[view.snapshot_id] = FakeSnapshot(machine.installation, view, done_at, content)
        return self.kept[view.snapshot_id]

    def _listed(self) -> list[SnapshotView]:
        ours = [one for one in self.kept.values() if one.installation == self.installation]
        return [self._now(one) for one in ours if self._is_listed(one.view.started_at)]

    def _now(self, one: FakeSnapshot) -> SnapshotView:
        if one.done_at > self._clock():
            return one.view
        if self.fails:
            return replace(one.view, state=SnapshotState.ERROR)
        return replace(one.view, state=SnapshotState.COMPLETED, stored_bytes=one.view.disk_gb * 2**30 // 4)

    def _delete(self, snapshot_id: str) -> Outcome:
        if any(snapshot_id in image.view.snapshot_ids for image in self.images_kept.values()):
            text = f"The snapshot {snapshot_id} is currently in use"
            return Outcome(snapshot_id, WrongState(text, code="InvalidSnapshot.InUse"))
        if self.kept.pop(snapshot_id, None) is None:
            text = f"The snapshot '{snapshot_id}' does not exist."
            return Outcome(snapshot_id, NotFound(text, code="InvalidSnapshot.NotFound"))
        return Outcome(snapshot_id)

    def _images_listed(self) -> list[ImageView]:
        ours = [one.view for one in self.images_kept.values() if one.installation == self.installation]
        return [view for view in ours if self._is_listed(view.created_at)]

    def _image_by_id(self, image_id: str) -> ImageView | None:
        one = self.images_kept.get(image_id)
        return one.view if one else None

    def _is_listed(self, made_at: datetime) -> bool:
        return made_at <= self._clock() - timedelta(seconds=self.hidden_seconds)

    def _image_of(self, snapshot_id: str, name: str) -> str:
        if known := self._named(name):
            return known
        one = self.kept.get(snapshot_id)
        if one is None or self._now(one).state is not SnapshotState.COMPLETED:
            raise Refused(f"Snapshot {snapshot_id} is not completed.", code="InvalidSnapshot.NotFound")
        return self._image(name, one)

    def _save_image(self, cloud_id: str, name: str) -> str:
        if known := self._named(name):
            return known
        machine = self._machine(cloud_id)
        return self._image(name, self._keep("", machine, f"{machine.cloud_id} at {self._clock():%H:%M:%S}"))

    def _named(self, name: str) -> str:
        known = next((one.view for one in self.images_kept.values() if one.view.name == name), None)
        if known and not self._is_listed(known.created_at):
            raise Transient(f"The image {name} is there and not listed yet.", code="InvalidAMIName.Duplicate")
        return known.image_id if known else ""

    def _image(self, name: str, disk: FakeSnapshot) -> str:
        image_id = f"ami-{len(self.images_kept) + 1:017x}"
        view = ImageView(
            image_id=image_id,
            name=name,
            available=True,
            failed=False,
            snapshot_ids=[disk.view.snapshot_id],
            disk_gb=disk.view.disk_gb,
            created_at=self._clock(),
        )
        self.images_kept[image_id] = FakeImage(disk.installation, view, disk.content)
        return image_id
