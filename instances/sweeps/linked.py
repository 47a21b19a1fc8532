"""The round of linked accounts: the same looks as into the course's own. One that is shut stops nothing else, and its
machines are unseen: neither gone nor stopped, and nothing is charged for what nobody saw."""

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from cloud.base import Cloud, CloudError, Transient
from instances import account_checks, account_survey
from instances.account_records import CloudAccount
from instances.calling import running_clock
from instances.models import Instance, InstanceEvent
from instances.moves import tell
from instances.notices import staff_address
from instances.states import ENDED
from instances.sweeps.disks import mend_copies
from instances.sweeps.lost import note_found, write_off
from instances.sweeps.mending import Round
from instances.sweeps.repairing import repair_account
from instances.sweeps.rounds import for_each, sweep_over

logger = logging.getLogger(__name__)
_PASSING = timedelta(minutes=10)  # what AWS does not answer for so long is told as well


def accounts(cloud: Cloud, now: datetime) -> int:
    """One describe for each account. New machines are a matter of its check, which is due once a day."""
    found = list(_open())
    lost = [one for one in found if one.lost_at is not None]
    for_each("lost accounts", lost, lambda one: write_off(one, now))
    clock = running_clock(now)  # what one account takes makes no other one's machines older
    looked_at = sweep_over("accounts", found, lambda one: look_into(one, cloud, clock()), now=now)
    due = [one for one in found if one.lost_at is None and account_checks.is_due(one, now)]
    for_each("account checks", due, lambda one: account_checks.check(one, cloud=cloud, now=now))
    unknown = [one for one in found if account_survey.is_due(one, now)]
    for_each("account surveys", unknown, lambda one: _survey(one, cloud, now))
    return looked_at


def _survey(account: CloudAccount, cloud: Cloud, now: datetime) -> None:
    account.refresh_from_db()  # this round's look may have found it shut, or its check something wrong
    if account_survey.is_due(account, now):
        account_survey.survey(account, cloud=cloud, now=now)


def soon(cloud: Cloud, now: datetime, keys: Collection[int]) -> None:
    """Those in which somebody waits; asks nothing where nobody does."""
    if keys:
        for_each("accounts", _open().filter(pk__in=keys), lambda one: look_into(one, cloud, now))


def _open() -> QuerySet[CloudAccount]:
    """Not removed; or, whatever went wrong, with machines of ours in it. Those that did not answer come last."""
    ours = Instance.objects.filter(account=OuterRef("pk")).exclude(state__in=ENDED)
    there = CloudAccount.objects.filter(Q(removed_at=None) | Exists(ours))
    there = there.exclude(role_arn="").select_related("course", "lost_by")
    return there.order_by(F("shut_since").asc(nulls_first=True), "pk")


def look_into(account: CloudAccount, cloud: Cloud, now: datetime) -> None:
    try:
        work = Round(cloud, now)
        repair_account(work, account)
        work.ask_late()
    except CloudError as error:
        logger.warning("account %s: cannot be read, nothing is changed: %s", account.account_id, error)
        _note_shut(account, error, now)
        return
    if account.shut_since is not None:
        CloudAccount.objects.filter(pk=account.pk).update(shut_since=None, shut_words="")
    if account.lost_at is not None:
        note_found(account, cloud, now)
    mend_copies(cloud, account, now)


def _note_shut(account: CloudAccount, error: CloudError, now: datetime) -> None:
    """Staff are told once for each time, with what it means and what to do."""
    since = account.shut_since or now
    CloudAccount.objects.filter(pk=account.pk).update(shut_since=since, shut_words=str(error)[:300])
    if isinstance(error, Transient) and now - since < _PASSING:
        return
    machine = Instance.objects.filter(account=account).exclude(state__in=ENDED).select_related("course").first()
    told = InstanceEvent.objects.filter(kind=InstanceEvent.Kind.TROUBLE, at__gte=since, facts__shut=account.pk)
    if machine is None or told.exists():
        return
    values = {"name": str(account), "text": str(error)[:120]}
    reason = _(
        "The AWS account %(name)s cannot be entered (%(text)s). Its machines are not seen: nothing is charged or "
        "deleted there; AWS's own timers stop them. Check it on the accounts page."
    )
    to = staff_address(account.course)
    tell(machine, InstanceEvent.Kind.TROUBLE, reason=reason % values, now=now, mail_to=to, facts={"shut": account.pk})
