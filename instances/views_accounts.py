"""Doors of the linked accounts: the list, adding one, its template, its check, whose machines run there."""

from collections.abc import Callable
from datetime import datetime

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from courses.access import course_to_set_up
from courses.doors import person, signed_in
from courses.models import Course, Team
from instances import account_edits, tasks
from instances.account_records import CloudAccount
from instances.account_survey import surveys
from instances.dispatch import send_after_commit

TEMPLATE = settings.BASE_DIR / "deploy" / "aws" / "linked-account.yaml"


class AccountForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=80, help_text=gettext_lazy("As staff know it: “Team 7's own account”.")
    )
    account_id = forms.CharField(
        label=gettext_lazy("AWS account id"), max_length=20, help_text=gettext_lazy("Twelve digits.")
    )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@never_cache
def accounts_desk(request: HttpRequest, slug: str) -> HttpResponse:
    course, now = course_to_set_up(request.user, slug), timezone.now()
    form = AccountForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            made = account_edits.add(course, **form.cleaned_data, who=person(request), now=now)
        except account_edits.AccountRefused as refused:
            form.add_error("account_id", str(refused))
        else:
            send_after_commit(tasks.check_account, made.pk)
            messages.success(request, _("Added. Now deploy the template in that account, as described below."))
            return redirect("accounts_desk", slug)
    return _page(request, course, form)


def _page(request: HttpRequest, course: Course, form: AccountForm) -> HttpResponse:
    now = timezone.now()
    accounts = CloudAccount.objects.filter(course=course, removed_at=None).select_related("added_by", "lost_by")
    context = {
        "now": now,
        "course": course,
        "accounts": surveys(course, list(accounts.prefetch_related("teams__team")), now),
        "free_teams": Team.objects.filter(course=course, closed_at=None, bound_account=None),
        "installation": settings.INSTALLATION,
        "region": settings.AWS_REGION,
        "form": form,
    }
    return render(request, "staff/accounts.html", context, status=422 if form.errors else 200)


@require_safe
@signed_in
@never_cache
def account_template(request: HttpRequest, slug: str) -> HttpResponse:
    course_to_set_up(request.user, slug)
    answer = HttpResponse(TEMPLATE.read_text(), content_type="application/yaml")
    answer["Content-Disposition"] = 'attachment; filename="linked-account.yaml"'
    return answer


@require_POST
@signed_in
def account_verb(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    course, now = course_to_set_up(request.user, slug), timezone.now()
    account = get_object_or_404(CloudAccount, course=course, pk=pk, removed_at=None)
    act = _VERBS.get(request.POST.get("what", ""))
    try:
        if act is None:
            raise account_edits.AccountRefused(_("Nothing was changed. Use one of the buttons on this page."))
        messages.success(request, act(request, account, now))
    except account_edits.AccountRefused as refused:
        messages.error(request, str(refused))
    return redirect("accounts_desk", slug)


def _stack(request: HttpRequest, account: CloudAccount, now: datetime) -> str:
    text, joined = request.POST.get("stack", ""), bool(request.POST.get("joined"))
    account_edits.tell_stack(account, text, joined=joined, who=person(request), now=now)
    send_after_commit(tasks.check_account, account.pk)
    return _("Saved. AWS is being asked; look again in a few seconds.")


def _check(_request: HttpRequest, account: CloudAccount, _now: datetime) -> str:
    send_after_commit(tasks.check_account, account.pk)
    return _("AWS is being asked. Look again in a few seconds.")


def _bind(request: HttpRequest, account: CloudAccount, now: datetime) -> str:
    account_edits.bind(account, _team(request, account), who=person(request), now=now)
    return _("The team's new machines run there. Machines that there are stay where they are.")


def _unbind(request: HttpRequest, account: CloudAccount, now: datetime) -> str:
    account_edits.unbind(account, _team(request, account), who=person(request), now=now)
    return _("The team's new machines run in the course's own account.")


def _remove(request: HttpRequest, account: CloudAccount, now: datetime) -> str:
    account_edits.remove(account, who=person(request), now=now)
    return _("Removed. Whoever owns the account can delete the stack now.")


def _team(request: HttpRequest, account: CloudAccount) -> Team:
    said = request.POST.get("team", "")
    return get_object_or_404(Team, course=account.course_id, pk=said if said.isascii() and said.isdigit() else 0)


_VERBS: dict[str, Callable[[HttpRequest, CloudAccount, datetime], str]] = {
    "stack": _stack,
    "check": _check,
    "bind": _bind,
    "unbind": _unbind,
    "remove": _remove,
}
