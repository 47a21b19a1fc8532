"""The course's own AWS account: its credit on a page, and redeemed credit counted into the course's budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from cloud.base import CloudError
from cloud.billing import CourseAccount, Credit
from courses.models import Course, User
from credits.course_account import RedemptionRefused, must_be_instructor
from credits.models import CourseRedemption
from spend.allowances import Raised, raise_budget


@dataclass(frozen=True, slots=True)
class AccountView:
    """What the account shows now. `problem` says why it shows nothing."""

    is_offered: bool
    credits: Sequence[Credit]
    redemptions: Sequence[CourseRedemption]  # of this course, newest first
    problem: str = ""

    @property
    def remaining_usd(self) -> Decimal:
        """What is left, less what the open month has used."""
        return sum((credit.estimated for credit in self.credits if credit.currency == "USD"), Decimal(0))


def account_view(course: Course, *, account: CourseAccount, now: datetime) -> AccountView:
    """One call to AWS. The soonest to end first; what has ended is left out."""
    rows = list(
        CourseRedemption.objects.filter(course=course).select_related("code__batch", "who").order_by("-asked_at", "-pk")
    )
    if not account.offered():
        return AccountView(False, [], rows, _("The installed boto3 cannot ask AWS about credit: update it."))
    try:
        found = account.credits()
    except CloudError as error:
        return AccountView(True, [], rows, _("AWS did not say what credit there is: %(said)s") % {"said": error})
    good = [credit for credit in found if credit.ends is None or credit.ends > now]
    return AccountView(True, sorted(good, key=lambda credit: (credit.ends is None, credit.ends or now)), rows)


def add_to_budget(redemption: CourseRedemption, *, why: str, who: User, now: datetime) -> Raised:
    """Raise the course's budget by what AWS credited, once. Raises `RedemptionRefused` and `BudgetRefused`."""
    with transaction.atomic():
        row = CourseRedemption.objects.select_for_update(of=("self",)).select_related("course").get(pk=redemption.pk)
        must_be_instructor(row.course_id, who)
        if row.state != CourseRedemption.State.CONFIRMED or row.amount_usd is None:
            raise RedemptionRefused(_("This credit is not seen on the account yet."))
        if row.budgeted_at is not None:
            raise RedemptionRefused(_("This credit is counted in the budget already."))
        row.budgeted_at = now
        row.save(update_fields=("budgeted_at",))
        reason = why.strip()[:300] or _("Credit %(id)s of the course account") % {"id": row.credit_id}
        raised = raise_budget(row.course, row.amount_usd, why=reason, who=who, now=now)
    redemption.refresh_from_db()
    return raised
