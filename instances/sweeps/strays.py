"""Machines at AWS with our tag that no row of ours stands behind: stopped, never deleted, and shown to staff.

Except a double of a launch, which nobody was ever given: that is ended.
"""

import logging
from collections.abc import Iterable
from datetime import datetime

from cloud.base import Cloud, MachineView
from instances.models import Instance, StrayMachine
from instances.repair import ALIVE
from instances.states import ENDED

logger = logging.getLogger(__name__)


def end_strays(views: Iterable[MachineView], *, cloud: Cloud, now: datetime) -> int:
    """Returns how many there are alive. Rows are read again: since the round began one may have got its machine."""
    alive = {view.cloud_id: view for view in views if view.state in ALIVE}
    ours = set(Instance.objects.exclude(state__in=ENDED).filter(cloud_id__in=alive).values_list("cloud_id", flat=True))
    found = [view for cloud_id, view in alive.items() if cloud_id not in ours]
    if not found:
        return 0
    rows = {row.slug: row for row in Instance.objects.filter(slug__in={view.name for view in found})}
    doubles = [view for view in found if _is_double(view, rows.get(view.name))]
    for outcome in cloud.terminate([view.cloud_id for view in doubles]):
        logger.error("strays: %s doubles a launch and is ended: %s", outcome.cloud_id, outcome.error or "accepted")
    strays = [v for v in found if v not in doubles and not _is_under_way(rows.get(v.name))]
    for outcome in cloud.stop([view.cloud_id for view in strays]):
        logger.error("strays: %s has no row and is stopped: %s", outcome.cloud_id, outcome.error or "accepted")
    for view in strays:
        _remember(view, now)
    return len(doubles) + len(strays)


def _is_double(view: MachineView, row: Instance | None) -> bool:
    """Of a launch whose row has another machine, or ended without any. Not one of a row that is unknown, or that
    looks older than the machine: after a restored backup such a machine may hold somebody's work."""
    if row is None or row.cloud_id == view.cloud_id or not view.token.startswith(f"{row.slug}-"):
        return False
    known = view.token.removeprefix(f"{row.slug}-")
    return known.isdigit() and int(known) <= row.attempt and (bool(row.cloud_id) or row.state in ENDED)


def _is_under_way(row: Instance | None) -> bool:
    """Its launch call is just being answered, or the next round adopts it."""
    return row is not None and not row.cloud_id and row.state not in ENDED


def _remember(view: MachineView, now: datetime) -> None:
    StrayMachine.objects.update_or_create(
        cloud_id=view.cloud_id,
        defaults={"cloud_state": view.state, "last_seen_at": now},
        create_defaults={
            "name": view.name[:40],
            "instance_type": view.instance_type,
            "cloud_state": view.state,
            "first_seen_at": now,
            "last_seen_at": now,
        },
    )
