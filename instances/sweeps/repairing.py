"""The repair round: one look at the cloud for all machines, then each row and its machine are made to agree.

What to do is decided in `repair.py`, done in `mending.py`. A look that fails changes nothing.
"""

import logging
import time
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from cloud.base import Cloud, CloudError, CloudState, MachineView
from instances import guard
from instances.account_records import CloudAccount
from instances.accounts import door_of
from instances.calling import running_clock
from instances.models import Instance, InstanceEvent, Run
from instances.repair import ALIVE, MESSAGE_SECONDS, Row, decide_repair
from instances.restarting import forgotten, restart
from instances.states import ENDED, State
from instances.sweeps.idling import UNJUDGED
from instances.sweeps.mending import Round, mend
from instances.sweeps.readiness import Probe, answers, mark_ready
from instances.sweeps.rounds import beat, for_each
from instances.sweeps.strays import end_strays, note_strays

logger = logging.getLogger(__name__)
_GONE = (CloudState.SHUTTING_DOWN, CloudState.TERMINATED)


def repair(cloud: Cloud, now: datetime, *, probe: Probe = answers) -> int:
    """Of the course's own account. `probe` tells whether a notebook answers at an address."""
    began = time.monotonic()
    try:
        work = Round(cloud, now)
        looked_at = repair_account(work, None)
    except CloudError as error:
        logger.warning("repair: the cloud cannot be read, nothing is changed: %s", error)
        return 0
    restart(forgotten(now - timedelta(seconds=MESSAGE_SECONDS)), cloud=cloud, now=now)
    mark_ready(probe, now)
    work.ask_late()
    beat("repair", looked_at, seconds=time.monotonic() - began, now=now)
    return looked_at


def repair_account(work: Round, account: CloudAccount | None) -> int:
    """One account's rows and machines; None: the course's own. Raises CloudError when that account cannot be read:
    then nothing is changed, and what runs there is unseen. Launches are left in `work`, to be asked for last."""
    now, clock = work.now, running_clock(work.now)
    # Rows first: what the cloud says is then never older than the row that it is held against.
    machines = list(_not_ended().filter(account=account))
    if account:
        for machine in machines:
            machine.account = account
    door = door_of(work.cloud, account)
    views = door.describe_all()
    _note_sightings(machines, views, now, looked_at=clock())
    _forget_types(machines, views)
    by_id = {view.cloud_id: view for view in views}
    by_token = {view.token: view for view in views if view.token}

    def mend_one(machine: Instance) -> None:
        view = by_id.get(machine.cloud_id) if machine.cloud_id else by_token.get(machine.token)
        for intent in decide_repair(row_of(machine), view, now):
            mend(machine, view, intent, work)

    looked_at = for_each("repair", machines, mend_one)
    work.say_ends()
    for_each("strays seen", [views], lambda found: note_strays(found, account, now))
    for_each("strays", [views], lambda found: end_strays(found, cloud=door, now=now))
    return looked_at


def row_of(machine: Instance) -> Row:
    """`machine` comes from this round's query, which counted its runs and calls for a person."""
    return Row(
        state=State(machine.state),
        state_since=machine.state_since,
        cloud_id=machine.cloud_id,
        asked_at=machine.asked_at,
        calling_until=machine.calling_until,
        absent_since=machine.absent_since,
        last_report_at=machine.last_report_at,
        guard_until=machine.guard_until,
        guard_wanted=guard.wanted(machine),
        last_run_began=machine.last_run_began,  # type: ignore[attr-defined]
        person_called=machine.person_called,  # type: ignore[attr-defined]
        queued=machine.queued_at is not None,
    )


def _not_ended() -> QuerySet[Instance]:
    calls = InstanceEvent.objects.filter(
        instance=OuterRef("pk"), kind=InstanceEvent.Kind.TROUBLE, at__gte=OuterRef("state_since")
    )
    last_run = Run.objects.filter(instance=OuterRef("pk")).order_by("-number").values("started_at")[:1]
    return (
        Instance.objects.exclude(state__in=ENDED)
        .select_related("owner")
        .prefetch_related("course__machine_policy", "preset")
        .defer(*UNJUDGED)
        .annotate(last_run_began=Subquery(last_run), person_called=Exists(calls))
        .order_by()
    )


def _note_sightings(machines: list[Instance], views: list[MachineView], now: datetime, *, looked_at: datetime) -> None:
    """When each was last seen, for the books; in a few statements for all. What runs ran at the round's beginning;
    what stops may have run until AWS answered."""
    known = {view.cloud_id for view in views}
    listed = [view.cloud_id for view in views if view.state not in _GONE]
    _change(Instance.objects.filter(cloud_id__in=listed).exclude(state__in=ENDED), seen_at=now)
    back = [m.pk for m in machines if m.absent_since and m.cloud_id in known]
    if back:
        _change(Instance.objects.filter(pk__in=back), absent_since=None)
    alive = [view.cloud_id for view in views if view.state in ALIVE]
    open_runs = Run.objects.filter(ended_at=None, instance__cloud_id__in=alive)
    # A later look may have been faster: what it saw is not taken back.
    open_runs = open_runs.filter(Q(stopping_at=None) | Q(stopping_at__lte=now))
    _change(open_runs.filter(Q(seen_at=None) | Q(seen_at__lt=now), started_at__lte=now), seen_at=now, stopping_at=None)
    stopping = [view.cloud_id for view in views if view.state is CloudState.STOPPING]
    if stopping:
        off = Run.objects.filter(ended_at=None, instance__cloud_id__in=stopping, stopping_at=None)
        _change(off.filter(started_at__lte=now), stopping_at=looked_at)


def _forget_types(machines: list[Instance], views: list[MachineView]) -> None:
    """Of another type than the row believes: a call of ours came through late, or somebody changed it at AWS. The next
    start asks for the right one. To forget does no harm, where this look is the older one: it asks once more."""
    seen = {view.cloud_id: view.instance_type for view in views}
    wrong = [m.pk for m in machines if m.cloud_type and seen.get(m.cloud_id, m.cloud_type) != m.cloud_type]
    if wrong:
        _change(Instance.objects.filter(pk__in=wrong), cloud_type="")


def _change(rows: QuerySet[Any], **values: Any) -> None:
    """Locked in the order of their keys, as by all who lock several, so that none of them wait for each other."""
    with transaction.atomic():
        keys = rows.select_for_update(no_key=True, of=("self",)).order_by("pk").values_list("pk", flat=True)
        rows.model.objects.filter(pk__in=list(keys)).update(**values)
