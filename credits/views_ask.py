"""Doors of asking for more: the form, what was answered, taking it back. For the person and their team."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from courses.access import enrollment_in
from courses.doors import person, signed_in
from courses.models import Enrollment
from credits import requests
from credits.requests import RequestRefused

GET_OR_POST = ["GET", "HEAD", "POST"]
SHOWN = 50


class AskForm(forms.Form):
    amount_usd = forms.DecimalField(
        label=gettext_lazy("How much, in USD?"), min_value=1, max_value=requests.MOST_USD, decimal_places=2
    )
    whose = forms.ChoiceField(label=gettext_lazy("For whom?"), widget=forms.RadioSelect, initial="me")
    reason = forms.CharField(
        label=gettext_lazy("What for?"),
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=gettext_lazy("What you want to run, and why what you have is not enough. Staff decide by this."),
    )

    def __init__(self, enrollment: Enrollment, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        whose = self.fields["whose"]
        assert isinstance(whose, forms.ChoiceField)  # noqa: S101 - for the type
        mine = [("me", _("For me"))]
        ours = [("team", _("For my team, %(team)s") % {"team": enrollment.team})] if enrollment.team else []
        whose.choices = mine + ours  # set once: the widget keeps a copy, and never sees what is appended later


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def ask_more(request: HttpRequest, slug: str) -> HttpResponse:
    enrollment = enrollment_in(request.user, slug)
    form = AskForm(enrollment, request.POST) if request.method == "POST" else AskForm(enrollment)
    if form.is_bound and form.is_valid() and _ask(request, enrollment, form):
        messages.success(request, _("Asked. The answer comes by mail, and stands here."))
        return redirect("ask_more", slug)
    asked = list(requests.requests_of(enrollment)[:SHOWN])
    context = {
        "now": timezone.now(),
        "course": enrollment.course,
        "enrollment": enrollment,
        "form": form,
        "asked": asked,
    }
    return render(request, "credits/ask.html", context, status=422 if form.errors else 200)


def _ask(request: HttpRequest, enrollment: Enrollment, form: AskForm) -> bool:
    said = form.cleaned_data
    try:
        requests.ask(
            enrollment,
            amount_usd=said["amount_usd"],
            reason=said["reason"],
            for_team=said["whose"] == "team",
            who=person(request),
            now=timezone.now(),
        )
    except RequestRefused as refused:
        form.add_error("whose", str(refused))
        return False
    return True


@require_POST
@signed_in
def ask_withdraw(request: HttpRequest, slug: str, request_id: int) -> HttpResponse:
    enrollment = enrollment_in(request.user, slug)
    found = get_object_or_404(requests.requests_of(enrollment), pk=request_id)
    try:
        requests.withdraw(found, who=person(request), now=timezone.now())
    except RequestRefused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, _("Taken back."))
    return redirect("ask_more", slug)
