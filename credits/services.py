"""What holders do with codes: claim, look, report redeemed. Each verb is one transaction.

Who may see which code is asked by the doors through `queries`; here it is checked once more, because a code is money.
"""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from courses.models import Enrollment, EnrollmentStatus, User
from credits import holding, vault
from credits.claiming import ClaimRefused, InQueue, claim
from credits.holding import HELD
from credits.models import CodeEvent, CreditCode
from credits.staff import is_staff_of

__all__ = ("ClaimRefused", "InQueue", "RevealRefused", "claim", "report_redeemed", "reveal")

Status = CreditCode.Status
Verb = CodeEvent.Verb


class RevealRefused(Exception):
    """This person may not see this code, or staff gave no reason."""


@sensitive_variables()
@transaction.atomic
def reveal(code: CreditCode, *, who: User, why: str, address: str | None, now: datetime) -> str:
    """The code's text; each look is a row that its holder can see. Staff must say why. Raises `RevealRefused`."""
    # Locked: a code that is just given back must not be shown at the same moment, and go to somebody else unshown.
    rows = CreditCode.objects.select_for_update(no_key=True, of=("self",)).select_related("batch", "holder")
    row = rows.get(pk=code.pk)
    if not holding.is_held_by(row, who):
        if not is_staff_of(row.batch.course_id, who):
            raise RevealRefused(_("This code belongs to somebody else."))
        if not why.strip():
            raise RevealRefused(_("Say why you need to see this code: its holder will be shown your reason."))
    elif row.status not in HELD:
        raise RevealRefused(_("This code was taken out of use."))
    _remember_share(row, who)
    CodeEvent.objects.create(code=row, verb=Verb.REVEALED, who=who, why=why.strip()[:300], address=address, at=now)
    return vault.unseal(row.ciphertext)


def _remember_share(code: CreditCode, who: User) -> None:
    """Somebody who came to the team later has had this code from now on."""
    if code.team_id:
        for member in Enrollment.objects.filter(user=who, team=code.team_id, status=EnrollmentStatus.ACTIVE):
            holding.join(code, member)


def report_redeemed(code: CreditCode, *, who: User, address: str | None, now: datetime) -> bool:
    """The holder says that AWS took it. False when that was already known. Raises `RevealRefused`."""
    if not holding.is_held_by(code, who):
        raise RevealRefused(_("Only its holder can say what became of a code."))
    with transaction.atomic():
        changed = CreditCode.objects.filter(pk=code.pk, status=Status.CLAIMED).update(status=Status.REDEEMED)
        if changed:
            CodeEvent.objects.create(code=code, verb=Verb.REDEEMED, who=who, address=address, at=now)
    code.refresh_from_db(fields=("status",))
    return bool(changed)
