"""The queue for machines as rows: joining it, leaving it for AWS, what its people and the staff are told.

A place is a `queued_at` on a row that has no machine yet; it stays while AWS is being asked, so that nobody overtakes.
Giving turns is the queue's round, asking AWS is `launching.py`.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from cloud.base import Cloud, CloudError
from cloud.prices import facts_of
from cloud.quotas import QuotaName, quota_of
from instances.halts import Halt
from instances.models import Instance, InstanceEvent
from instances.moves import move, tell
from instances.notices import staff_address
from instances.queue_rules import Lanes, Waiting, WaitsFor, lanes, next_try
from instances.states import LIVE, State

logger = logging.getLogger(__name__)
Kind = InstanceEvent.Kind
TOLD_AGAIN = timedelta(hours=6)  # staff hear once about the same trouble, and again when it is still there


def in_queue() -> QuerySet[Instance]:
    """In order of their places, those included for whom AWS is being asked."""
    waiting = Q(state__in=(State.REQUESTED, State.LAUNCHING), cloud_id="", queued_at__isnull=False)
    return Instance.objects.filter(waiting).order_by("queued_at", "pk")


def in_its_way(machine: Instance) -> QuerySet[Instance]:
    """The queue as it binds this machine, with itself: that of its account, as another one's quota is no hindrance.
    Who is halted keeps the place, and holds no other course up meanwhile."""
    halted = Exists(Halt.objects.filter(course=OuterRef("course"), lifted_at=None))
    at_rest = Q(state=State.REQUESTED) & Q(halted) & ~Q(course=machine.course_id)
    return in_queue().filter(account=machine.account_id).exclude(at_rest)


def waiting_of(machine: Instance) -> Waiting:
    waits_for = WaitsFor(machine.queued_for or WaitsFor.CAPACITY)
    return Waiting(machine.pk, frozenset(value[0] for value in machine.wanted), waits_for, machine.spot)


def lanes_ahead(machine: Instance) -> Lanes:
    """What others wait for already, for somebody who comes now."""
    found: frozenset[str] = frozenset()
    for one in in_its_way(machine).only("wanted", "queued_for", "queued_at", "spot").exclude(pk=machine.pk):
        found |= lanes(waiting_of(one))
    return found


def join(machine: Instance, waits_for: WaitsFor, *, now: datetime) -> bool:
    """A place behind all who wait, before AWS was asked at all. False when somebody else changed the row."""
    reason = waiting_words(waits_for, spot=machine.spot, tries=0)
    soon = next_try(1, waits_for, now) if waits_for is WaitsFor.ACCOUNT else now
    place: dict[str, Any] = {"queued_at": now, "queued_for": waits_for, "next_try_at": soon, "reason": reason}
    with transaction.atomic():
        same = Instance.objects.filter(pk=machine.pk, state=State.REQUESTED, queued_at=None)
        if not same.update(**place):
            return False
        tell(machine, Kind.QUEUED, reason=reason, now=now)
    for field, value in place.items():
        setattr(machine, field, value)
    return True


def wait_for_account(machine: Instance, *, now: datetime) -> None:
    """Behind all who wait, or, who has a place, there: with the true reason, and asked for again after a pause."""
    if not join(machine, WaitsFor.ACCOUNT, now=now):
        _stay(machine, WaitsFor.ACCOUNT, now=now)


def wait_behind(machine: Instance, *, now: datetime) -> None:
    """All that it could be asked for is what others wait for: behind them, or, who has a place, there. Looked at again
    after a pause, not in every round. For nothing else any more, be it the account: until its turn comes, which may
    take hours, that would hold up people who want other things."""
    if not join(machine, WaitsFor.CAPACITY, now=now):
        _stay(machine, WaitsFor.CAPACITY, now=now)


def _stay(machine: Instance, waits_for: WaitsFor, *, now: datetime) -> None:
    """Where it stands, for this from now on; AWS was not asked for a machine. Nothing, when the row went on."""
    reason = waiting_words(waits_for, spot=machine.spot, tries=machine.queue_tries)
    soon = next_try(1, waits_for, now)
    same = Instance.objects.filter(pk=machine.pk, state=State.REQUESTED, queued_at=machine.queued_at)
    same.update(queued_for=waits_for, next_try_at=soon, reason=reason)


def back(machine: Instance, waits_for: WaitsFor, *, now: datetime, facts: dict[str, Any] | None = None) -> bool:
    """AWS has definitely refused all that was asked: the row waits for its next turn, where it stood if it did."""
    tries = machine.queue_tries + 1
    place: dict[str, Any] = {
        "queued_at": machine.queued_at or now,
        "queued_for": waits_for,
        "queue_tries": tries,
        "next_try_at": next_try(tries, waits_for, now),
        "candidates": machine.wanted,
        "asked_at": None,
        "calling_until": None,
    }
    reason = waiting_words(waits_for, spot=machine.spot, tries=tries)
    return move(machine, State.REQUESTED, reason=reason, who=None, now=now, facts=facts, **place)


def waiting_words(waits_for: WaitsFor, *, spot: bool, tries: int) -> str:
    """`tries`: how often AWS said no; before it was asked, no answer is made up. Spot is named: on demand there may be
    machines, which the student can choose instead."""
    after = _("You are in the queue, and it starts by itself when your turn comes. Nothing is charged while you wait.")
    if waits_for is WaitsFor.CAPACITY and not tries:
        before = _("Others came before you for such a machine.")
        return f"{before} {after}"
    why = {
        WaitsFor.CAPACITY: _("AWS has no free Spot machine of this kind right now.")
        if spot
        else _("AWS has no free machine of this kind right now."),
        WaitsFor.QUOTA: _("AWS lets the course's account run no more Spot machines of this kind at once.")
        if spot
        else _("The course's AWS account already runs as many of these as AWS allows."),
        WaitsFor.ACCOUNT: _("AWS lets the course's account launch nothing at the moment; the staff has been told."),
    }[waits_for]
    return f"{why} {after}"


def served(machine: Instance, *, now: datetime) -> None:
    """Its turn came: told on the page, and by mail to who has waited long enough to have left it."""
    if machine.queued_at is None or machine.state != State.LAUNCHING:
        return
    waited = now - machine.queued_at
    minutes = max(1, round(waited.total_seconds() / 60))
    reason = _("Your turn: AWS gave the machine after %(n)s min in the queue.") % {"n": minutes}
    away = waited >= timedelta(minutes=2)
    facts = {"waited_seconds": round(waited.total_seconds())}
    tell(machine, Kind.QUEUED, reason=reason, now=now, facts=facts, mail_to=machine.owner.email if away else "")


def tell_staff_of_quota(machine: Instance, cloud: Cloud, error: CloudError, *, now: datetime) -> None:
    """With the numbers: what AWS allows, what runs, how many wait."""
    name = quota_of(machine.instance_type, spot=machine.spot)
    if name is None or _told_lately({"quota": _in_account(name.code, machine)}, now):
        return
    used = _vcpus_in_use(name, machine)
    facts = {"quota": _in_account(name.code, machine), "used": used, "allowed": _allowed(name, cloud)}
    values = {
        "quota": f"{name.name} ({name.code})",
        "allowed": _("an unknown number of") if facts["allowed"] is None else facts["allowed"],
        "used": facts["used"],
        "type": machine.instance_type,
        "waiting": _waiting_for(name, machine),
    }
    reason = _(
        "AWS's quota “%(quota)s” is full: %(allowed)s vCPUs are allowed, our own machines use %(used)s. "
        "Waiting: %(waiting)s. Ask AWS for more on the preflight page."
    )
    logger.error("%s: %s", machine, error)
    to = staff_address(machine.course)
    tell(machine, Kind.TROUBLE, reason=reason % values, now=now, mail_to=to, facts=facts)


def tell_staff_of_account(machine: Instance, error: CloudError, *, now: datetime) -> None:
    facts = {"account": _in_account(error.code, machine)}
    if _told_lately(facts, now):
        return
    reason = _("AWS lets this account launch nothing, so every launch waits: %(text)s") % {"text": error}
    to = staff_address(machine.course)
    tell(machine, Kind.TROUBLE, reason=reason, now=now, mail_to=to, facts=facts)


def _in_account(word: str, machine: Instance) -> str:
    """Trouble in one account says nothing of another."""
    return word if machine.account_id is None else f"{word}@{machine.account_id}"


def _told_lately(facts: dict[str, str], now: datetime) -> bool:
    [(name, value)] = facts.items()
    told = InstanceEvent.objects.filter(kind=Kind.TROUBLE, at__gte=now - TOLD_AGAIN)
    return told.filter(**{f"facts__{name}": value}).exists()


def _waiting_for(name: QuotaName, machine: Instance) -> int:
    """How many want a type of this quota; `machine` counts, who joins only after staff are told."""
    same = in_queue().filter(account=machine.account_id, spot=machine.spot).exclude(pk=machine.pk)
    wanted = same.values_list("wanted", flat=True)
    return 1 + sum(any(quota_of(value[0], spot=machine.spot) == name for value in values) for values in wanted)


def _vcpus_in_use(name: QuotaName, machine: Instance) -> int:
    """By our machines of the same account and market."""
    same = Instance.objects.filter(state__in=LIVE, account=machine.account_id, spot=machine.spot)
    up = same.exclude(cloud_id="").values_list("instance_type", flat=True)
    known = [facts_of(one) for one in up if quota_of(one, spot=machine.spot) == name]
    return sum(facts.vcpu for facts in known if facts)


def _allowed(name: QuotaName, cloud: Cloud) -> int | None:
    try:
        return cloud.catalog.quota(name.code).vcpus
    except CloudError as error:
        logger.warning("quota %s: not known: %s", name.code, error)
        return None
