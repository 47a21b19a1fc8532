"""Giving up an account that is lost: the decision, and each row that it closes. Rows only: AWS lets nobody in there.

One transaction for the decision, one for each row; what a death leaves, the next round closes (`sweeps/lost.py`).
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from courses.models import User
from instances import books, disk_books, homes, loss_letters
from instances.account_edits import AccountRefused, note_edit
from instances.account_records import CloudAccount
from instances.disk_rules import COSTS, IN_MOTION, Standing
from instances.home_records import HomeArchive
from instances.loss_plan import copy_until, disk_until, loss, run_until
from instances.loss_rules import LOST_AFTER, Not, Shut, lost_from, why_not
from instances.models import DiskSnapshot, Instance, InstanceEvent, SweepBeat
from instances.moves import move, tell
from instances.states import ENDED, State


# ------------------------------------------------------------------ the decision
def shut_of(account: CloudAccount) -> Shut:
    """One query."""
    rounds = dict(SweepBeat.objects.filter(name__in=("accounts", "repair")).values_list("name", "finished_at"))
    return Shut(account.shut_since, looked_at=rounds.get("accounts"), aws_seen_at=rounds.get("repair"))


def refuse_not_lost(account: CloudAccount, now: datetime) -> None:
    """Raises AccountRefused: why it may not be given up, and from when on."""
    why = why_not(shut_of(account), now)
    if why is None:
        return
    if why is Not.EARLY and account.shut_since:
        when = date_format(localtime(lost_from(account.shut_since)), "j F Y, H:i")
        text = _(
            "It has been shut for less than %(n)s days, so that whoever owns it can still mend its role. It can be "
            "given up from %(when)s on."
        )
        raise AccountRefused(text % {"n": LOST_AFTER.days, "when": when})
    if why is Not.BLIND:
        raise AccountRefused(
            _("The portal itself has not seen AWS lately, so it cannot say what is lost. Try again when it has.")
        )
    raise AccountRefused(_("It answers: nothing of it is lost. Delete its machines, then remove it."))


@transaction.atomic
def give_up(account: CloudAccount, *, who: User, now: datetime) -> bool:
    """From here on it is lost. False: somebody was faster. Raises AccountRefused.

    The lock is the one by which launches into it and its removal exclude each other: none comes to it after this.
    """
    rows = CloudAccount.objects.select_for_update(of=("self",)).select_related("course")
    locked = rows.get(pk=account.pk)
    if locked.lost_at is not None or locked.removed_at is not None:
        return False
    refuse_not_lost(locked, now)
    found = loss(locked, now)
    CloudAccount.objects.filter(pk=locked.pk).update(lost_at=now, lost_by=who)
    facts = {"machines": len(found.machines), "copies": len(found.copies), "held_usd": str(found.held_usd)}
    note_edit("account_lost", locked, who=who, now=now, **facts)
    loss_letters.tell_owners(locked, found, now)
    return True


# ------------------------------------------------------------------ row by row
def reason_of(account: CloudAccount) -> str:
    text = _("The AWS account “%(name)s” is lost. This was counted until it was last seen; its files are out of reach.")
    return text % {"name": account.name}


@transaction.atomic
def end_machine(account: CloudAccount, pk: int, now: datetime) -> bool:
    """False when it has ended already. The meter posts the rest and frees the holds."""
    rows = Instance.objects.select_for_update(no_key=True, of=("self",)).select_related("owner", "course")
    machine = rows.filter(pk=pk, account=account).exclude(state__in=ENDED).first()
    if machine is None:
        return False
    run = books.last_run(machine)
    current = run if run and run.ended_at is None else None
    until = disk_until(machine, current)
    told: dict[str, Any] = {"who": account.lost_by, "now": now, "disk_until": until, "calling_until": None}
    facts = {"lost": account.pk, "counted_until": until.isoformat() if until else ""}
    if not move(machine, State.TERMINATED, reason=reason_of(account), facts=facts, **told):
        return False
    if until is None:
        books.drop_holds(machine, now=now)
    elif current:
        books.close_run(machine, started_at=None, ended_at=run_until(machine, current), now=now)
    elif run is None or run.number < machine.run_number:  # a start that nobody saw come true
        books.close_run(machine, started_at=None, ended_at=until, now=now)
    return True


@transaction.atomic
def end_copy(account: CloudAccount, pk: int, now: datetime) -> bool:
    """False when it is gone already. Nothing is deleted at AWS, now or later: it may be all that is left."""
    rows = DiskSnapshot.objects.select_for_update(no_key=True, of=("self",)).select_related("owner", "instance")
    copy = rows.filter(pk=pk, standing__in=IN_MOTION | COSTS).first()
    if copy is None:
        return False
    until, reason = copy_until(copy), reason_of(account)
    DiskSnapshot.objects.filter(pk=pk).update(
        standing=Standing.LOST,
        until=until,
        reason=reason,
        then_delete=False,
        go_on_as=None,
        calling_until=None,
        settled_at=None if until else now,
    )
    facts = {"lost": account.pk, "snapshot": copy.slug}
    tell(copy.instance, InstanceEvent.Kind.DISK, reason=reason, who=account.lost_by, now=now, facts=facts)
    if until is None:
        disk_books.drop_snapshot(copy, now=now)
    return True


def end_packing(account: CloudAccount, home: HomeArchive, now: datetime) -> bool:
    """The files lie on a machine that is out of reach. False when it had ended already."""
    return homes.give_up(home, reason_of(account), who=account.lost_by, now=now)
