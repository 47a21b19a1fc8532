"""The meter's round: books what runs and disks have cost, and settles those that have ended."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from instances import books, disk_books
from instances.models import DiskSnapshot, Instance, Run
from instances.sweeps.rounds import sweep_over
from spend.metering import hour_of


@dataclass(frozen=True, slots=True)
class _Account:
    """One run or disk that is not settled, without reading more of it than whether it is due."""

    began: datetime
    ended: datetime | None
    seen: datetime | None
    posted_until: datetime | None
    book: partial[None]

    def is_due(self) -> bool:
        """It ended, or it was seen after another full hour."""
        return self.ended is not None or hour_of(self.seen or self.began) > (self.posted_until or self.began)


def meter(now: datetime) -> int:
    return sweep_over("meter", _accounts(), lambda account: account.is_due() and account.book(now=now), now=now)


def _accounts() -> Iterator[_Account]:
    copies = DiskSnapshot.objects.filter(settled_at=None, since__isnull=False)
    for pk, since, gone, seen, posted in copies.values_list("pk", "since", "until", "seen_at", "metered_until"):
        if since:
            yield _Account(since, gone, seen, posted, partial(disk_books.meter_snapshot, pk))
    runs = Run.objects.filter(settled_at=None)
    for pk, began, ended, seen, posted in runs.values_list("pk", "started_at", "ended_at", "seen_at", "metered_until"):
        yield _Account(began, ended, seen, posted, partial(books.meter_run, pk))
    disks = Instance.objects.filter(disk_settled_at=None, disk_since__isnull=False)
    for pk, since, gone, seen, posted in disks.values_list(
        "pk", "disk_since", "disk_until", "seen_at", "disk_metered_until"
    ):
        if since:
            yield _Account(since, gone, seen, posted, partial(books.meter_disk, pk))
