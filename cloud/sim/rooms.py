"""What the simulated AWS asks of a machine room, and a room without machines for tests that need no notebook."""

from typing import Protocol


class MachineRoom(Protocol):
    def boot(self, cloud_id: str, private_ip: str, user_data: str) -> None:
        """Returns at once; the same call again finds the disk of the last run."""
        ...

    def halt(self, cloud_id: str, *, force: bool = False) -> None:
        """Blocks until its processes are gone. Nothing to do for a machine that is not up."""
        ...

    def erase(self, cloud_id: str) -> None: ...

    def restart(self, cloud_id: str, private_ip: str, user_data: str) -> None:
        """Its processes end and begin again; the disk stays."""
        ...

    def keep_disk(self, cloud_id: str, snapshot_id: str) -> int:
        """A copy of the disk as it is now; returns its bytes."""
        ...

    def forget_disk(self, snapshot_id: str) -> None: ...

    def fill_disk(self, cloud_id: str, snapshot_id: str) -> None:
        """A new machine begins with what the copy holds."""
        ...

    def close(self) -> None:
        """Every process ended, disks kept."""
        ...


class NoRoom:
    def boot(self, cloud_id: str, private_ip: str, user_data: str) -> None:
        pass

    def halt(self, cloud_id: str, *, force: bool = False) -> None:
        pass

    def erase(self, cloud_id: str) -> None:
        pass

    def restart(self, cloud_id: str, private_ip: str, user_data: str) -> None:
        pass

    def keep_disk(self, cloud_id: str, snapshot_id: str) -> int:
        return 2**30

    def forget_disk(self, snapshot_id: str) -> None:
        pass

    def fill_disk(self, cloud_id: str, snapshot_id: str) -> None:
        pass

    def close(self) -> None:
        pass
