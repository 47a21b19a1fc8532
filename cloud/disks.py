"""The door to disks that outlive their machine: snapshots, and images to launch from. In our own words, as `base`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from cloud.base import Outcome


class SnapshotState(StrEnum):
    PENDING = "pending"
    COMPLETED = "completed"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class SnapshotSpec:
    """`key` is ours and written on the snapshot: AWS has no token here, so it is how a lost answer is found again."""

    key: str
    cloud_id: str  # of the machine whose disk it is
    name: str  # the machine's slug
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SnapshotView:
    snapshot_id: str
    key: str
    state: SnapshotState
    disk_gb: int
    stored_bytes: int | None  # what it holds, once AWS has counted it; never more than the disk
    started_at: datetime  # UTC; of the moment that it shows


@dataclass(frozen=True, slots=True)
class ImageView:
    image_id: str
    name: str  # ours; unique in the account
    available: bool
    failed: bool
    snapshot_ids: Sequence[str]
    disk_gb: int
    created_at: datetime


class Disks(Protocol):
    def snapshot(self, spec: SnapshotSpec) -> SnapshotView:
        """Of a machine that runs or is stopped. Said twice there are two: look for the key first."""
        ...

    def snapshots(self) -> list[SnapshotView]:
        """Every snapshot with this installation's tag; all pages. A new one may be listed late."""
        ...

    def exist(self, snapshot_ids: Sequence[str]) -> set[str]:
        """Those that are there, whatever their tags say. No error for an unknown one."""
        ...

    def delete_snapshots(self, snapshot_ids: Sequence[str]) -> list[Outcome]:
        """One outcome per id; an id that AWS does not know is NotFound. An image must be deleted before."""
        ...

    def image_of(self, snapshot_id: str, *, name: str) -> str:
        """An image that boots from a completed snapshot of a machine's disk; under one name always the same.
        Transient while the name is taken by an image that is not listed yet."""
        ...

    def save_image(self, cloud_id: str, *, name: str) -> str:
        """An image of a stopped machine; under one name always the same. Not available at once.
        Transient as `image_of`."""
        ...

    def images(self) -> list[ImageView]:
        """Every image with this installation's tag. A new one may be listed late."""
        ...

    def image(self, image_id: str) -> ImageView | None:
        """That one, whatever its tags say; None when AWS knows none of this id, or no more."""
        ...

    def delete_image(self, image_id: str) -> None:
        """Machines that run from it are not touched; its snapshots stay. No error when there is none."""
        ...
