"""Doors of the course's own AWS account: its credit, codes redeemed into it, and that credit made budget.

Staff look; only instructors move anything. AWS is asked by the worker, and for the page in a part of its own.
"""

from django import forms
from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from cloud import backends
from courses.access import staff_enrollment_in
from courses.doors import person, signed_in
from courses.models import Course, Role
from credits import course_account
from credits.course_account import RedemptionRefused
from credits.models import CodeBatch, CourseRedemption, CreditCode
from credits.open_work import open_work
from credits.tasks import redeem_for_course
from instances.dispatch import send_after_commit
from portal.course_account import account_view, add_to_budget
from portal.figures import usd
from spend.refusals import BudgetRefused

GET_OR_POST = ["GET", "HEAD", "POST"]
State = CourseRedemption.State
MOVING = (State.ASKED, State.CALLING)


class RedeemForm(forms.Form):
    """So many free codes of one batch."""

    batch = forms.ChoiceField(label=gettext_lazy("From"))
    number = forms.IntegerField(label=gettext_lazy("How many codes"), min_value=1, max_value=100, initial=1)
    why = forms.CharField(
        label=gettext_lazy("Reason"), max_length=300, help_text=gettext_lazy("These codes can then be given to nobody.")
    )

    def __init__(self, course: Course, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        free = Count("codes", filter=Q(codes__status=CreditCode.Status.AVAILABLE))
        batches = CodeBatch.objects.filter(course=course).annotate(free=free).filter(free__gt=0).order_by("created_at")
        words = _("%(name)s: %(n)d free, %(usd)s each")
        chosen = self.fields["batch"]
        assert isinstance(chosen, forms.ChoiceField)  # noqa: S101 - for the type
        chosen.choices = [
            (str(one.pk), words % {"name": one.name, "n": vars(one)["free"], "usd": usd(one.value_usd)})
            for one in batches
        ]

    def codes(self) -> list[CreditCode]:
        """Fewer than asked for when there are not so many."""
        free = CreditCode.objects.filter(batch=self.cleaned_data["batch"], status=CreditCode.Status.AVAILABLE)
        return list(free.order_by("pk")[: self.cleaned_data["number"]])


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def account(request: HttpRequest, slug: str) -> HttpResponse:
    """A POST takes codes out of the stock for the account; the worker then asks AWS."""
    line = staff_enrollment_in(request.user, slug)
    form = RedeemForm(line.course, request.POST) if request.method == "POST" else RedeemForm(line.course)
    if form.is_bound and form.is_valid() and _ask(request, form):
        return redirect("credits_account", slug)
    context = {
        "now": timezone.now(),
        "course": line.course,
        "work": open_work(line.course),
        "form": form,
        "may_redeem": line.role == Role.INSTRUCTOR,
    }
    return render(request, "credits/desk/account.html", context, status=422 if form.errors else 200)


def _ask(request: HttpRequest, form: RedeemForm) -> bool:
    codes, said = form.codes(), form.cleaned_data
    if len(codes) < said["number"]:
        form.add_error("number", _("Only %(n)d are free.") % {"n": len(codes)})
        return False
    try:
        course_account.ask(codes, why=said["why"], who=person(request), now=timezone.now())
    except RedemptionRefused as refused:
        form.add_error("why", str(refused))
        return False
    send_after_commit(redeem_for_course)
    text = ngettext("%(n)d code is on its way to AWS.", "%(n)d codes are on their way to AWS.", len(codes))
    messages.success(request, text % {"n": len(codes)})
    return True


@require_safe
@signed_in
@never_cache
def account_live(request: HttpRequest, slug: str) -> HttpResponse:
    """What AWS says now. In a part of its own: a slow AWS must not hold the page up."""
    line, now = staff_enrollment_in(request.user, slug), timezone.now()
    found = account_view(line.course, account=backends.course_account(), now=now)
    context = {
        "now": now,
        "course": line.course,
        "account": found,
        "is_moving": any(row.state in MOVING for row in found.redemptions),
        "may_redeem": line.role == Role.INSTRUCTOR,
    }
    return render(request, "credits/desk/_account.html", context)


@require_POST
@signed_in
def redemption_to_budget(request: HttpRequest, slug: str, redemption_id: int) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    row = get_object_or_404(CourseRedemption, pk=redemption_id, course=course)
    try:
        raised = add_to_budget(row, why="", who=person(request), now=timezone.now())
    except (RedemptionRefused, BudgetRefused) as refused:
        messages.error(request, str(refused))
    else:
        words = {"usd": usd(row.amount_usd), "total": usd(raised.budget.amount_usd)}
        messages.success(request, _("The course’s budget is larger by %(usd)s: %(total)s now.") % words)
        if raised.tighter:
            words = {"name": raised.tighter.name, "left": usd(raised.tighter.left_usd)}
            messages.warning(request, _("“%(name)s” above has only %(left)s left: raise that, too.") % words)
    return redirect("credits_account", slug)


@require_POST
@signed_in
def redemption_give_up(request: HttpRequest, slug: str, redemption_id: int) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    row = get_object_or_404(CourseRedemption, pk=redemption_id, course=course)
    why = request.POST.get("why", "")
    try:
        course_account.give_up(row, why=why, who=person(request), now=timezone.now())
    except RedemptionRefused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, _("Given up: the code is no longer with AWS."))
    return redirect("credits_account", slug)
