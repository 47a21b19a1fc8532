"""Which account a machine runs in, and the door to it. The `cloud` that is passed around is always the course's own."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from django.conf import settings
from django.utils.translation import gettext as _

from cloud.base import Cloud
from courses.models import Enrollment
from instances.account_records import CloudAccount
from instances.models import DiskSnapshot, Instance
from instances.refusals import LaunchRefused

LAUNCH = "launch"  # of a check's findings: whether AWS would take a new machine


def door_for(cloud: Cloud, machine: Instance) -> Cloud:
    """The door to the account of this machine."""
    return cloud if machine.account_id is None else door_of(cloud, machine.account)


def door_of(cloud: Cloud, account: CloudAccount | None) -> Cloud:
    return cloud if account is None else cloud.accounts.door(account.entry)


def by_door(cloud: Cloud, machines: Iterable[Instance]) -> Iterator[tuple[Cloud, Sequence[Instance]]]:
    """Machines that can be named in one call. Those of the course's own account come first."""
    ordered = sorted(machines, key=lambda one: one.account_id or 0)
    for _account, found in groupby(ordered, key=lambda one: one.account_id):
        together = list(found)
        yield door_for(cloud, together[0]), together


def account_for(owner: Enrollment, snapshot: DiskSnapshot | None) -> CloudAccount | None:
    """Where a new machine of this person is to run; None: in the course's own. Raises LaunchRefused: never elsewhere
    than where it belongs, or somebody else would pay. A copy is restored where it lies."""
    account = snapshot.instance.account if snapshot else _bound_to(owner)
    if account is not None:  # whoever removes it waits for this launch, or is waited for
        account = CloudAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
    refuse_unusable(account)
    if account and account.dials_out and not settings.TUNNEL_ADDRESS:
        raise LaunchRefused(
            _(
                "No notebook could be opened in the AWS account “%(name)s”: its network is not joined to the portal's, "
                "and machines cannot dial out. Nothing was charged. Tell the course staff: an operator can change that."
            )
            % {"name": account.name}
        )
    return account


def _bound_to(owner: Enrollment) -> CloudAccount | None:
    bound = getattr(owner.team, "bound_account", None)  # read together with the roster line
    return bound.account if bound else None


def takes_what_there_is(account: CloudAccount) -> bool:
    """All is in order there, or all but the launch of a new machine."""
    wrong = [one["what"] for one in account.findings if not one["ok"]]
    only_new = wrong == [LAUNCH] and account.removed_at is None and account.lost_at is None
    return account.usable or only_new


def refuse_unusable(account: CloudAccount | None, *, new: bool = True) -> None:
    """`new`: a machine that there is needs no image any more. Raises LaunchRefused."""
    if account is None or account.usable:
        return
    if account.lost_at is not None:
        text = _("This machine belongs into the AWS account “%(name)s”, which is lost. Tell the course staff.")
        raise LaunchRefused(text % {"name": account.name})
    wrong = [one for one in account.findings if not one["ok"]]
    if not new and takes_what_there_is(account):
        return
    values = {"name": account.name, "why": wrong[0]["words"] if wrong else _("It was not checked yet.")}
    raise LaunchRefused(
        _(
            "This machine belongs into the AWS account “%(name)s”, which cannot be used now: %(why)s "
            "Nothing was charged. Tell the course staff: an instructor can check the account again."
        )
        % values
    )
