"""Doors of a course's closing: the dry run, announce or change it, call it off, the final statement."""

from datetime import datetime
from decimal import Decimal

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from courses.access import course_to_set_up, staff_courses_of
from courses.doors import person, signed_in
from courses.models import Course
from credits.forms import DayInput
from instances import closing
from instances.closing import ClosingRefused
from instances.closing_letters import lost_words
from instances.closing_records import Closing
from instances.closing_statement import statement
from portal.closing_plan import plan
from spend.reports import by_person

KEEP_DAYS = 30


class ClosingForm(forms.Form):
    last_day = forms.DateField(
        label=gettext_lazy("Last day"),
        widget=DayInput(),
        help_text=gettext_lazy("When it is over in the course’s time zone, the closing begins."),
    )
    keep_days = forms.IntegerField(
        label=gettext_lazy("Days for which archives are kept"),
        min_value=7,
        max_value=365,
        help_text=gettext_lazy("Their owners’ budgets pay for them. After these days they are deleted for good."),
    )
    read = forms.BooleanField(
        label=gettext_lazy("I have read what would happen"),
        error_messages={"required": gettext_lazy("Read the dry run on this page first.")},
    )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@never_cache
def course_closing(request: HttpRequest, slug: str) -> HttpResponse:
    course, now = course_to_set_up(request.user, slug), timezone.now()
    row = closing.open_closings().filter(course=course).first()
    known = row or Closing(course=course, last_day=closing.earliest_day(course, now), keep_days=KEEP_DAYS)
    given = request.POST if request.method == "POST" else None
    form = ClosingForm(given, initial={"last_day": known.last_day, "keep_days": known.keep_days})
    if form.is_bound and form.is_valid() and _say(request, course, row, form, now):
        return redirect("course_closing", slug)
    last = Closing.objects.filter(course=course, finished_at__isnull=False).first()
    # An operator who is not on the staff sees the course's rules and sums, and none of its people.
    is_staff = staff_courses_of(request.user).filter(pk=course.pk).exists()
    context = {
        "now": now,
        "course": course,
        "is_staff": is_staff,
        "closing": row,
        "begun": row is not None and row.closes_at <= now,
        "shown": known,
        "plan": plan(known, now),
        "form": form,
        **_statement(course, row, last, now, is_staff=is_staff),
    }
    return render(request, "staff/closing.html", context, status=422 if form.errors else 200)


def _statement(
    course: Course, row: Closing | None, last: Closing | None, now: datetime, *, is_staff: bool
) -> dict[str, object]:
    """Final once a closing is finished; as it stands while one is carried out; else none."""
    if row is not None:
        told, is_final = (statement(course, now) if row.closes_at <= now else None), False
    else:
        told, is_final = (last.statement if last else None), True
    if told is None:
        return {}
    amounts = {name: Decimal(told[f"{name}_usd"]) for name in ("budget", "spent", "held", "left", "nobodys")}
    names = {line.enrollment.pk: line.enrollment.name for line in by_person(course)} if is_staff else {}
    people = [(names[pk], Decimal(usd)) for pk, usd in told["people"] if pk in names]
    as_of = datetime.fromisoformat(told["as_of"])
    lost = [lost_words(one) for one in told.get("lost", [])]  # a statement of before there were linked accounts: none
    shown = {"statement": told, "amounts": amounts, "statement_people": people, "is_final": is_final, "as_of": as_of}
    return {**shown, "statement_lost": lost}


def _say(request: HttpRequest, course: Course, row: Closing | None, form: ClosingForm, now: datetime) -> bool:
    """Announce it, or change what is announced. False when it is refused: the form says why."""
    said = {"last_day": form.cleaned_data["last_day"], "keep_days": form.cleaned_data["keep_days"]}
    try:
        if row is None:
            closing.announce(course, **said, who=person(request), now=now)
        else:
            closing.change(row, **said, who=person(request), now=now)
    except ClosingRefused as refused:
        form.add_error(refused.field, str(refused))
        return False
    messages.success(request, _("Everybody of the course is told by mail and on every page."))
    return True


@require_POST
@signed_in
def closing_call_off(request: HttpRequest, slug: str) -> HttpResponse:
    course = course_to_set_up(request.user, slug)
    row = closing.open_closings().filter(course=course).first()
    if row is not None and closing.call_off(row, who=person(request), now=timezone.now()):
        messages.success(request, _("Called off. What is archived stays; nothing more is stopped or deleted."))
    else:
        messages.info(request, _("There is nothing to call off."))
    return redirect("course_closing", slug)
