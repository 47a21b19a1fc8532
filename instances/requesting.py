"""What a click on "launch" or "start" writes: row, holds and event, in one transaction. Asks AWS nothing."""

import hashlib
import logging
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.conf import settings
from django.db import models, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from courses.models import Enrollment, EnrollmentStatus, Team, User
from credits import entitlement
from credits.entitlement import BadRule, Rule
from credits.vault import seal
from instances import approvals, books, dialing
from instances.account_records import CloudAccount
from instances.accounts import account_for, refuse_unusable
from instances.called_off import UNANSWERED
from instances.drill_rules import LEASES
from instances.facts import limits_of
from instances.guard_names import Guard
from instances.halted import refuse_if_halted
from instances.launch_rules import MAY_LAUNCH, Candidate, Kind, Person, affordable, refusal, start_refusal
from instances.limits import own_limits_of
from instances.models import DiskSnapshot, Instance, InstanceEvent, Policy, Preset
from instances.moves import move
from instances.pricing import prices_of
from instances.refusals import LaunchRefused, words
from instances.snapshots import keep_machine
from instances.states import LIVE, State

logger = logging.getLogger(__name__)


@transaction.atomic
def request_launch(
    enrollment: Enrollment,
    preset: Preset,
    *,
    who: User | None,
    now: datetime,
    snapshot: DiskSnapshot | None = None,
    proving: Guard | None = None,
) -> Instance:
    """Row, holds and event of a new machine. Raises LaunchRefused or BudgetRefused, and then nothing is written.

    `snapshot`: a copy of a disk that the new one begins with. `proving`: it is a fire drill's canary, and this guard's
    turn.
    """
    owner = locked(enrollment)
    preset = Preset.objects.select_related("course").get(pk=preset.pk, course=owner.course)
    kind = kind_of(preset)
    _lock_team(owner, preset)
    why = refusal(person_of(owner, preset, now), books.dates_for(owner, owner.course), kind, now)
    if why:
        raise LaunchRefused(words(why, preset, per_person=at_once(owner, preset)))
    wanted = affordable(kind)
    # A drill proves the course's own guards.
    account = None if proving else account_for(owner, snapshot)
    machine = _new_row(owner, preset, wanted, now, snapshot, proving, account)
    dialing.prepare(machine)
    # The dearest: falling back to another type must never need money that is not held.
    dearest = max(c.usd_hour for c in wanted) + machine.address_usd_hour
    InstanceEvent.objects.create(
        instance=machine,
        kind=InstanceEvent.Kind.MOVED,
        new_state=State.REQUESTED,
        reason=machine.reason,
        who=who,
        facts={"usd_hour": str(dearest), "lease_seconds": machine.lease_seconds},
        at=now,
    )
    approvals.use(machine, preset, now=now)
    # Last: from here on everybody else's launch waits for this one.
    books.hold_new_machine(machine, dearest, who=who, now=now)
    refuse_if_halted(machine.course)
    return machine


@transaction.atomic
def request_start(instance: Instance, *, who: User | None, now: datetime, proving: Guard | None = None) -> Instance:
    """A stopped machine is to run again, under a new lease. Raises LaunchRefused or BudgetRefused.

    `proving`: the guard whose turn it is next. Only its drill starts a canary.
    """
    owner = locked(instance.owner)
    _lock_team(owner, instance.preset)
    # Locked before the money, as everywhere: the meter takes machine and money in this order, too.
    rows = Instance.objects.select_for_update(no_key=True, of=("self",)).select_related(
        "owner", "course", "preset", "account"
    )
    machine = rows.get(pk=instance.pk)
    if machine.state != State.STOPPED:
        raise LaunchRefused(_("This machine is not stopped, so it cannot be started."))
    if machine.preset_id != instance.preset_id:  # the team was locked for another one
        raise LaunchRefused(_("This machine has just changed. Look again."))
    if machine.proving and proving is None:
        raise LaunchRefused(_("This machine belongs to a fire drill, which starts it and deletes it by itself."))
    refuse_unusable(machine.account, new=False)
    dates, kind = books.dates_for(owner, machine.course), kind_of(machine.preset)
    why = start_refusal(person_of(owner, machine.preset, now), dates, kind, now)
    if why:
        raise LaunchRefused(words(why, machine.preset, per_person=at_once(owner, machine.preset)))
    machine.run_number += 1
    turn: dict[str, Any] = {"proving": proving, "lease_seconds": LEASES[proving]} if proving else {}
    machine.lease_seconds = turn.get("lease_seconds", machine.lease_seconds)  # what is held for
    keep_machine(machine, who=who, now=now)
    books.hold_new_run(machine, machine.usd_hour, who=who, now=now)
    refuse_if_halted(machine.course)
    reason = _("Started again")
    fields = {**_fresh_run(machine.run_number), **turn}
    if not move(machine, State.LAUNCHING, reason=reason, who=who, now=now, **fields):
        raise LaunchRefused(_("This machine has just changed. Look again."))
    return machine


def kind_of(preset: Preset, *, prices: Mapping[str, Decimal | None] | None = None) -> Kind:
    """`prices`: of whoever asks about many presets at once, else one query."""
    known = prices_of(preset.instance_types) if prices is None else prices
    return Kind(
        enabled=preset.enabled,
        per_person=preset.per_person,
        ceiling_usd_hour=preset.ceiling_usd_hour,
        prices=[(name, known.get(name)) for name in preset.instance_types],
        audience=audience_of(preset),
        per_team=preset.per_team,
        needs_approval=preset.needs_approval,
    )


def audience_of(preset: Preset) -> Rule:
    """Who may use it. Without a rule: everybody who may launch at all. One that cannot be read is for nobody."""
    try:
        return entitlement.parse({"roles": sorted(MAY_LAUNCH), **preset.audience})
    except BadRule:
        logger.exception("preset %s: its rule cannot be read", preset.pk)
        return Rule(roles=())


def person_of(owner: Enrollment, preset: Preset, now: datetime) -> Person:
    live = Instance.objects.filter(preset=preset, state__in=LIVE)
    counts_team = bool(owner.team_id and preset.per_team)
    return judged_person(
        owner,
        preset,
        count_of(live.filter(owner=owner)),
        of_team=count_of(live.filter(owner__team=owner.team_id)) if counts_team else NO_MACHINES,
        allowed=preset.needs_approval and approvals.usable(owner, preset, now).exists(),
    )


class Count(NamedTuple):
    live: int
    unanswered: int  # of these: whether AWS has made them is not known yet


NO_MACHINES = Count(0, 0)
COUNTED = {"live": models.Count("pk"), "unanswered": models.Count("pk", filter=UNANSWERED)}


def count_of(machines: QuerySet[Instance]) -> Count:
    return Count(**machines.aggregate(**COUNTED))


def judged_person(
    owner: Enrollment, preset: Preset, own: Count, *, of_team: Count = NO_MACHINES, allowed: bool = False
) -> Person:
    """With the exceptions that were made for this person."""
    limits = own_limits_of(owner)
    return Person(
        role=owner.role,
        active=owner.status == EnrollmentStatus.ACTIVE,
        live_machines=own.live,
        unanswered=own.unanswered,
        at_once=limits.at_once,
        is_extra=preset.pk in limits.extra_presets,
        is_barred=not limits.allows(preset.pk),
        section=owner.section,
        team=owner.team.name if owner.team else None,
        team_machines=of_team.live,
        team_unanswered=of_team.unanswered,
        allowed=allowed,
    )


def at_once(owner: Enrollment, preset: Preset) -> int:
    """How many machines of the preset this person may have."""
    own = own_limits_of(owner).at_once
    return preset.per_person if own is None else own


def locked(enrollment: Enrollment) -> Enrollment:
    """One decision at a time for one person, or two clicks at once count each other's machine as not there.

    Read only then: joined to the lock, one that waited would see dates and exceptions as they were before it did.
    """
    lock_line(enrollment)
    rows = Enrollment.objects.select_related("course", "limits", "team__bound_account__account")
    return rows.get(pk=enrollment.pk)


def lock_line(enrollment: Enrollment) -> None:
    """no_key, because charges refer to the enrollment while they hold the budgets that come next."""
    list(Enrollment.objects.select_for_update(no_key=True).filter(pk=enrollment.pk).values_list("pk"))


def _lock_team(owner: Enrollment, preset: Preset) -> None:
    """Two of a team who click at once would each not see the other's machine."""
    if preset.per_team and owner.team_id:
        list(Team.objects.select_for_update(no_key=True).filter(pk=owner.team_id))


def _new_row(
    owner: Enrollment,
    preset: Preset,
    wanted: list[Candidate],
    now: datetime,
    snapshot: DiskSnapshot | None,
    proving: Guard | None,
    account: CloudAccount | None,
) -> Instance:
    # A copy is restored to a disk of at least its machine's size: AWS takes no smaller one.
    disk_gb = max(preset.disk_gb, snapshot.instance.disk_gb) if snapshot else preset.disk_gb
    secret = secrets.token_urlsafe(32)
    return Instance.objects.create(
        owner=owner,
        course=owner.course,
        account=account,
        preset=preset,
        state=State.REQUESTED,
        state_since=now,
        reason=_("Asked for"),
        candidates=[c.as_json() for c in wanted],
        wanted=[c.as_json() for c in wanted],
        image_id="" if snapshot else preset.image_in(settings.AWS_REGION),
        restored_from=snapshot,
        spot=preset.market == Preset.Market.SPOT,
        disk_gb=disk_gb,
        lease_seconds=LEASES[proving] if proving else preset.lease_seconds,
        proving=proving or "",
        address_usd_hour=books.address_usd_hour(),
        disk_usd_hour=books.disk_usd_hour(disk_gb),
        birth_limits=asdict(limits_of(Policy.of(owner.course))),
        notebook_token=seal(secrets.token_urlsafe(32)),
        agent_secret=seal(secret),
        agent_digest=hashlib.sha256(secret.encode()).hexdigest(),
        created_at=now,
    )


def _fresh_run(number: int) -> dict[str, Any]:
    """Facts of the last run would speak for the new one."""
    empty = ("asked_at", "calling_until", "private_ip", "notebook_ready_at", "lease_until", "guard_until")
    idle = ("kept_until", "last_active_at", "last_human_at", "hung_since", "last_report_at", "unfunded_at")
    told = ("warned_at", "warned_until")
    ends = ("restart_wanted_at", "archive_warned_at", "own_rules", "eye_at", "done_at", "reclaim_at", "stop_asked_at")
    return {
        **dict.fromkeys((*empty, *idle, *told, *ends)),
        "eye_saw": "",
        "awaited": {},
        "run_number": number,
        "last_report": {},
        "trace": [],
        "stop_tries": 0,
        "ending_by": "",
        "leaving_at": None,
        "leaving": {},
    }
