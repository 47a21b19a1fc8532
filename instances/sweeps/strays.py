"""Machines at AWS with our tag that no row of ours stands behind: stopped, never deleted, and shown to staff.

Except a double of a launch, which nobody was ever given: that is ended. So is the machine that a Spot request made in
place of another; and the request first, or it would make the next.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from cloud.base import Cloud, CloudState, MachineView
from instances.account_records import CloudAccount
from instances.models import Instance, StrayMachine
from instances.repair import ALIVE, GONE, VISIBLE_SECONDS
from instances.states import ENDED
from instances.stopping import end_requests

logger = logging.getLogger(__name__)


def end_strays(views: Sequence[MachineView], *, cloud: Cloud, now: datetime) -> int:
    """Returns how many there are alive. Rows are read again: since the round began one may have got its machine."""
    alive = {view.cloud_id: view for view in views if view.state in ALIVE}
    ours = set(Instance.objects.exclude(state__in=ENDED).filter(cloud_id__in=alive).values_list("cloud_id", flat=True))
    found = [view for cloud_id, view in alive.items() if cloud_id not in ours]
    named = Instance.objects.filter(slug__in={view.name for view in found}) if found else ()
    rows = {row.slug: row for row in named}
    doubles = [view for view in found if _is_double(view, rows.get(view.name))]
    standing = _end_requests(views, {view.cloud_id for view in doubles}, cloud)
    for outcome in cloud.terminate([view.cloud_id for view in doubles if view.spot_request not in standing]):
        logger.error("strays: %s doubles a launch and is ended: %s", outcome.cloud_id, outcome.error or "accepted")
    strays = [v for v in found if v not in doubles and not _is_under_way(v, rows.get(v.name))]
    for outcome in cloud.stop([view.cloud_id for view in strays]):
        logger.error("strays: %s has no row and is stopped: %s", outcome.cloud_id, outcome.error or "accepted")
    for view in strays:
        remember(view, now)
    return len(doubles) + len(strays)


def _end_requests(views: Sequence[MachineView], doubles: set[str], cloud: Cloud) -> set[str]:
    """Of Spot machines that end or are to end; those that stand all the same. As long as AWS lists such a machine, so
    that a call that failed is made up for. Never one that a machine has which is kept: without it AWS would delete
    that, or could not stop it."""
    kept = {view.spot_request for view in views if view.cloud_id not in doubles and view.state not in GONE}
    return end_requests({view.spot_request for view in views} - kept, cloud)


def _is_double(view: MachineView, row: Instance | None) -> bool:
    """Of a launch whose row has another machine, asks another question by now, or ended without any; or made by the
    row's Spot request in place of its own. Not one of a row that is unknown, or that looks older than the machine:
    after a restored backup such a machine may hold somebody's work."""
    if row is None or row.cloud_id == view.cloud_id:
        return False
    if view.spot_request and view.spot_request == row.spot_request:
        return True
    if not view.token.startswith(f"{row.slug}-"):
        return False
    known = view.token.removeprefix(f"{row.slug}-")
    if not known.isdigit() or int(known) > row.attempt:
        return False
    return int(known) < row.attempt or bool(row.cloud_id) or row.state in ENDED


def _is_under_way(view: MachineView, row: Instance | None) -> bool:
    """Its launch call is just being answered, or the next round adopts it."""
    return row is not None and not row.cloud_id and row.state not in ENDED and view.token == row.token


def remember(view: MachineView, now: datetime) -> None:
    seen = {"cloud_state": view.state, "last_seen_at": now}
    made = {"name": view.name[:40], "instance_type": view.instance_type, "first_seen_at": now}
    if view.state in ALIVE:  # started again: what it costs counts from then
        StrayMachine.objects.filter(cloud_id=view.cloud_id).exclude(cloud_state__in=ALIVE).update(first_seen_at=now)
    StrayMachine.objects.update_or_create(cloud_id=view.cloud_id, defaults=seen, create_defaults={**seen, **made})


def note_strays(views: Sequence[MachineView], account: CloudAccount | None, now: datetime) -> None:
    """Those that were remembered are written down as this account's look shows them. What is gone, or has a row again,
    is forgotten; what lies in another account was not looked at, and stays."""
    known = {row.cloud_id: row for row in StrayMachine.objects.all()}
    if not known:
        return
    listed = {view.cloud_id: view for view in views if view.cloud_id in known}
    ours = Instance.objects.exclude(state__in=ENDED).filter(cloud_id__in=known)
    over = set(ours.values_list("cloud_id", flat=True))
    over |= {view.cloud_id for view in listed.values() if view.state is CloudState.TERMINATED}
    over |= _missing([row for key, row in known.items() if key not in listed], account, now)
    StrayMachine.objects.filter(cloud_id__in=over).delete()
    for cloud_id in listed.keys() - over:
        remember(listed[cloud_id], now)


def _missing(rows: list[StrayMachine], account: CloudAccount | None, now: datetime) -> set[str]:
    """Not listed for too long by the account that they lie in. Only a name that we know tells which one that is; where
    none is linked, there is but one."""
    late = [row for row in rows if now - row.last_seen_at >= timedelta(seconds=VISIBLE_SECONDS)]
    if not late:
        return set()
    lies_in = dict(Instance.objects.filter(slug__in={row.name for row in late}).values_list("slug", "account"))
    unknown = -1 if CloudAccount.objects.exists() else None
    here = account.pk if account else None
    return {row.cloud_id for row in late if lies_in.get(row.name, unknown) == here}
