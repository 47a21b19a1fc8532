"""What the owners of lost machines and copies are told by mail: one letter for each person, written once."""

from datetime import datetime

from django.conf import settings
from django.utils.translation import gettext as _

from courses.models import Enrollment
from credits import letters
from credits.telling import in_portal_language
from instances.account_records import CloudAccount
from instances.loss_plan import Loss


def tell_owners(account: CloudAccount, found: Loss, now: datetime) -> None:
    with in_portal_language():
        for owner in found.owners:
            if owner.forgotten_at is None:
                _write(account, owner, found, now)


def _write(account: CloudAccount, owner: Enrollment, found: Loss, now: datetime) -> None:
    values = {
        "name": account.name,
        "course": account.course.name,
        "whom": account.course.contact or _("the staff"),
    }
    subject = _("Lost with an AWS account: your machines in %(course)s") % values
    body = _(
        "Nobody can enter the AWS account “%(name)s” any more, and the staff of %(course)s has given it up. Of yours "
        "there was in it:"
    )
    after = _(
        "Each is counted until it was last seen; what was held beyond that is free in your budget again. The portal "
        "cannot reach these files any more. AWS's own timers have stopped the machines; what runs or lies there is "
        "billed to whoever owns that account, and who can sign in to it still finds the disks there.\n\n"
        "Where your next machine runs: ask %(whom)s."
    )
    page = f"{settings.PORTAL_URL}/c/{account.course.slug}/"
    text = "\n\n".join((body % values, _list(owner, found), after % values, page)) + "\n"
    letters.write(f"account-lost/{account.pk}/{owner.pk}", to=owner.email, subject=subject, body=text, now=now)


def _list(owner: Enrollment, found: Loss) -> str:
    machines = [one.machine for one in found.machines if one.machine.owner_id == owner.pk]
    copies = [one.copy for one in found.copies if one.copy.owner_id == owner.pk]
    lines = [f"- {machine.preset.name} ({machine.slug})" for machine in machines]
    text = _("a copy of the disk of %(machine)s, %(n)s GB")
    lines += ["- " + text % {"machine": copy.instance.slug, "n": copy.size_gb} for copy in copies]
    return "\n".join(lines)
