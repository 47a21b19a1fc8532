"""The round of students' files: begun, put together, deleted when their time is over; what nobody knows is given up."""

import time
from datetime import datetime, timedelta

from django.db.models import Q

from cloud.files import Files
from instances.home_calls import abort_orphans, take_step
from instances.home_records import HomeArchive
from instances.home_rules import Step, next_step
from instances.sweeps.rounds import beat, for_each

_LOOKED_AFTER = timedelta(days=2)  # so long after the last click an upload may be lost somewhere


def homes(files: Files | None, now: datetime) -> int:
    """`files`: None where there is no bucket."""
    began = time.monotonic()
    looked_at = 0
    if files is not None:
        resting = Q(ready_at__isnull=False, expires_at__gt=now)
        rows = HomeArchive.objects.filter(cleared_at=None).exclude(resting).select_related("instance")
        due = [row.pk for row in rows if next_step(row.facts, now) is not Step.NONE]
        looked_at = for_each("homes", due, lambda pk: take_step(pk, files=files, now=now))
        if HomeArchive.objects.filter(asked_at__gt=now - _LOOKED_AFTER).exists():
            for_each("homes: orphans", [files], lambda bucket: abort_orphans(bucket, now))
    beat("homes", looked_at, seconds=time.monotonic() - began, now=now)
    return looked_at
