"""Accounts that were given up: every row of them is closed, whatever died before; and one that answers again is told.

What is found there then is nobody's any more: the ordinary rule for strays stops it, deletes none and charges nobody.
"""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from cloud.base import Cloud
from instances.account_records import CloudAccount
from instances.accounts import door_of
from instances.losing import end_copy, end_machine, end_packing
from instances.loss_plan import copies_in, machines_in, packing_in
from instances.models import Instance, InstanceEvent
from instances.moves import tell
from instances.notices import staff_address
from instances.repair import GONE
from instances.sweeps.rounds import for_each
from instances.sweeps.strays import remember


def write_off(account: CloudAccount, now: datetime) -> None:
    """Level-triggered: looks at what is still open, and may run twice at once."""
    homes = list(packing_in(account).select_related("instance", "owner"))
    for_each("lost: packing", homes, lambda home: end_packing(account, home, now))
    machines = list(machines_in(account).values_list("pk", flat=True))
    for_each("lost: machines", machines, lambda pk: end_machine(account, pk, now))
    copies = list(copies_in(account).values_list("pk", flat=True))
    for_each("lost: copies", copies, lambda pk: end_copy(account, pk, now))


def note_found(account: CloudAccount, cloud: Cloud, now: datetime) -> None:
    """Staff hear once that it answers again, and see all that is there: what is stopped costs its owner, too.
    Raises CloudError."""
    if account.found_at is not None:
        return
    there = [view for view in door_of(cloud, account).describe_all() if view.state not in GONE]
    newest = Instance.objects.filter(account=account).select_related("course").order_by("-pk").first()
    with transaction.atomic():
        if not CloudAccount.objects.filter(pk=account.pk, found_at=None).update(found_at=now) or newest is None:
            return
        for view in there:
            remember(view, now)
        text = _(
            "The AWS account %(name)s, which was given up as lost, answers again. %(n)s of the portal's machines are "
            "there: what runs is stopped, nothing is deleted, nothing is charged to the course."
        )
        reason, to = text % {"name": account, "n": len(there)}, staff_address(account.course)
        facts = {"found": account.pk, "machines": len(there)}
        tell(newest, InstanceEvent.Kind.TROUBLE, reason=reason, now=now, mail_to=to, facts=facts)
