"""Door of giving up a linked account: first what would be lost and what that means, then the act."""

from datetime import datetime

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from courses.access import course_to_set_up, staff_courses_of
from courses.doors import person, signed_in
from instances import losing, tasks
from instances.account_edits import AccountRefused
from instances.account_records import CloudAccount
from instances.dispatch import send_after_commit
from instances.loss_plan import loss
from instances.loss_rules import LOST_AFTER


class LossForm(forms.Form):
    number = forms.CharField(
        label=gettext_lazy("The account's number"),
        max_length=20,
        help_text=gettext_lazy("Its twelve digits, to be sure that it is this one. This cannot be undone."),
    )

    def __init__(self, data: object, *, number: str) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        self.expected = number

    def clean_number(self) -> str:
        said = "".join(one for one in self.cleaned_data["number"] if one not in " -")
        if said != self.expected:
            raise forms.ValidationError(_("This is another number."))
        return said


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@never_cache
def account_lost(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    course, now = course_to_set_up(request.user, slug), timezone.now()
    account = get_object_or_404(CloudAccount, course=course, pk=pk, removed_at=None)
    if account.lost_at is not None:
        messages.info(request, _("This account is given up already."))
        return redirect("accounts_desk", slug)
    form = LossForm(request.POST if request.method == "POST" else None, number=account.account_id)
    if form.is_bound and form.is_valid() and _give_up(request, account, form, now):
        return redirect("accounts_desk", slug)
    context = {
        "now": now,
        "course": course,
        "account": account,
        "found": loss(account, now),
        # An operator who is not on the staff sees sums, and nobody's name.
        "is_staff": staff_courses_of(request.user).filter(pk=course.pk).exists(),
        "refused": _refusal(account, now),
        "days": LOST_AFTER.days,
        "form": form,
    }
    return render(request, "staff/account_lost.html", context, status=422 if form.errors else 200)


def _give_up(request: HttpRequest, account: CloudAccount, form: LossForm, now: datetime) -> bool:
    """False when it is refused: the form says why."""
    try:
        losing.give_up(account, who=person(request), now=now)
    except AccountRefused as refused:
        form.add_error("number", str(refused))
        return False
    send_after_commit(tasks.write_off_account, account.pk)
    messages.success(request, _("Given up. Its machines are closed in the books, and their owners are told by mail."))
    return True


def _refusal(account: CloudAccount, now: datetime) -> str:
    try:
        losing.refuse_not_lost(account, now)
    except AccountRefused as refused:
        return str(refused)
    return ""
