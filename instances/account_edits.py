"""Adding, changing and removing linked accounts, and whose machines run there. Rows only; AWS is asked by the check."""

import json
import re
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from courses.audit import Kind, note
from courses.models import Course, Team, User
from instances.account_records import CloudAccount, TeamAccount
from instances.disk_rules import Standing
from instances.models import DiskSnapshot, ForeignMachine, Instance
from instances.states import ENDED

_ROLE = re.compile(r"arn:aws[\w-]*:iam::([0-9]{12}):role/[\w+=,.@/-]{1,128}")
_ZONE, _SUBNET, _GROUP = (
    re.compile(r"[a-z0-9-]{5,30}"),
    re.compile(r"subnet-[0-9a-f]{1,30}"),
    re.compile(r"sg-[0-9a-f]{1,30}"),
)
_GONE_COPIES = (Standing.DELETED, Standing.FAILED, Standing.LOST)


class AccountRefused(Exception):
    """`str()` is a sentence for the person."""


@transaction.atomic
def add(course: Course, name: str, account_id: str, *, who: User, now: datetime) -> CloudAccount:
    """A row with its own external id. Nothing can be launched there before its stack was told and checked."""
    account = CloudAccount(
        course=course, name=name.strip(), account_id=re.sub(r"[\s-]", "", account_id), added_by=who, added_at=now
    )
    try:
        account.clean_fields()
        with transaction.atomic():
            account.save()
    except ValidationError:
        raise AccountRefused(_("Write a name, and the account's number: twelve digits.")) from None
    except IntegrityError:
        raise AccountRefused(_("This account is linked already, here or in another course. Remove it there.")) from None
    note_edit("account_added", account, who=who, now=now)
    return account


@transaction.atomic
def tell_stack(account: CloudAccount, text: str, *, joined: bool, who: User, now: datetime) -> None:
    """What the stack's output “ForThePortal” says. The account is unusable until it is checked again."""
    told = _read(text, account.account_id)
    if told["role_arn"] != account.role_arn and account.role_arn and _in_use(account):
        raise AccountRefused(_("Machines of the portal are there: its role cannot be another one now."))
    values: dict[str, Any] = {**told, "network_joined": joined, "checked_at": None, "passed_at": None, "findings": []}
    CloudAccount.objects.filter(pk=account.pk, removed_at=None).update(**values)
    note_edit("account_stack", account, who=who, now=now)


def _read(text: str, account_id: str) -> dict[str, Any]:
    wrong = AccountRefused(_("This is not what the stack says. Copy the whole value of its output “ForThePortal”."))
    try:
        told = json.loads(text)
        role, stops, subnets, group = told["role"], told["stop_role"], told["subnets"], told["security_group"]
        roles = [_ROLE.fullmatch(role), _ROLE.fullmatch(stops)]
        fits = [_GROUP.fullmatch(group), subnets]
        fits += [_ZONE.fullmatch(zone) and _SUBNET.fullmatch(subnet) for zone, subnet in subnets.items()]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise wrong from None
    if not all(roles) or not all(fits):
        raise wrong
    others = [found[1] for found in roles if found and found[1] != account_id]
    if others:
        values = {"said": others[0], "id": account_id}
        raise AccountRefused(_("This is the stack of the account %(said)s, not of %(id)s.") % values)
    return {"role_arn": role, "scheduler_role_arn": stops, "subnets": subnets, "security_group": group}


@transaction.atomic
def bind(account: CloudAccount, team: Team, *, who: User, now: datetime) -> None:
    """The team's new machines run there. Those that there are stay where they are. Raises AccountRefused."""
    locked = CloudAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
    if locked.removed_at is not None:
        raise AccountRefused(_("This account was removed meanwhile."))
    if locked.lost_at is not None:
        raise AccountRefused(_("This account is lost. Should it answer again: remove it here, and link it anew."))
    values = {"account": account, "bound_by": who, "bound_at": now}
    TeamAccount.objects.update_or_create(team=team, defaults=values)
    note_edit("account_bound", account, who=who, now=now, team=team.pk)


@transaction.atomic
def unbind(account: CloudAccount, team: Team, *, who: User, now: datetime) -> None:
    if TeamAccount.objects.filter(account=account, team=team).delete()[0]:
        note_edit("account_unbound", account, who=who, now=now, team=team.pk)


@transaction.atomic
def remove(account: CloudAccount, *, who: User, now: datetime) -> None:
    """The portal never goes in again. Raises AccountRefused while anything of ours is there."""
    locked = CloudAccount.objects.select_for_update().get(pk=account.pk)
    TeamAccount.objects.filter(account=locked).delete()
    if _in_use(locked):
        raise AccountRefused(
            _("Machines or copies of disks are still there. Delete them first; then it can be removed.")
        )
    if locked.removed_at is None:
        CloudAccount.objects.filter(pk=locked.pk).update(removed_at=now)
        ForeignMachine.objects.filter(account=locked).delete()  # nobody looks there any more
        note_edit("account_removed", account, who=who, now=now)


def _in_use(account: CloudAccount) -> bool:
    machines = Instance.objects.filter(account=account).exclude(state__in=ENDED)
    copies = DiskSnapshot.objects.filter(instance__account=account).exclude(standing__in=_GONE_COPIES)
    return machines.exists() or copies.exists()


def note_edit(what: str, account: CloudAccount, *, who: User, now: datetime, **facts: Any) -> None:
    told = {"account": account.account_id, **facts}
    note(what, kind=Kind.DECISION, who=who, course=account.course, now=now, facts=told)
