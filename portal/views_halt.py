"""Doors of the kill switch: of a course for its staff, of the installation for who runs it. Done and undone here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from courses.access import operator, staff_enrollment_in
from courses.doors import person, signed_in
from courses.models import Course
from instances import halting, tasks
from instances.cards import Card, cards
from instances.dispatch import send_after_commit
from instances.halted import open_halts
from instances.halting import HaltRefused
from instances.halts import Halt, HaltedMachine
from instances.idle import Cause
from instances.models import Instance
from portal.figures import usd

GET_OR_POST = ["GET", "HEAD", "POST"]
HALTS_SHOWN = 10


class HaltForm(forms.Form):
    reach = forms.ChoiceField(
        label=gettext_lazy("What to stop"),
        choices=Halt.Reach.choices,
        widget=forms.RadioSelect,
        initial=Halt.Reach.IDLE,
    )
    why = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=200,
        help_text=gettext_lazy("Everybody of the course reads it, with your name."),
    )

    def say_what_is_saved(self, found: "Prospect") -> None:
        saved = {Halt.Reach.ALL: found.usd_hour, Halt.Reach.IDLE: found.idle_usd_hour}
        reach = self.fields["reach"]
        assert isinstance(reach, forms.ChoiceField)  # noqa: S101 - for the type
        words = _("%(reach)s: saves %(usd)s an hour")
        reach.choices = [(key, words % {"reach": key.label, "usd": usd(amount)}) for key, amount in saved.items()]


@dataclass(frozen=True, slots=True)
class Prospect:
    """What runs now, and what stopping it saves. USD per hour."""

    running: Sequence[Card]
    idle: Sequence[Card]

    @property
    def usd_hour(self) -> Decimal:
        return sum((card.machine.usd_hour for card in self.running), Decimal(0))

    @property
    def idle_usd_hour(self) -> Decimal:
        return sum((card.machine.usd_hour for card in self.idle), Decimal(0))

    @property
    def busy(self) -> int:
        return len(self.running) - len(self.idle)


def prospect(course: Course | None, now: datetime) -> Prospect:
    """The same number of queries for 3 machines and for 300."""
    machines = Instance.objects.filter(state__in=halting.STOPPABLE).order_by("owner__name", "pk")
    found = cards(machines if course is None else machines.filter(course=course), now)
    idle = [card for card in found if card.decision and card.decision.cause in (Cause.QUIET, Cause.BLIND)]
    return Prospect(found, idle)


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def course_halt(request: HttpRequest, slug: str) -> HttpResponse:
    return _page(request, staff_enrollment_in(request.user, slug).course)


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def halt_all(request: HttpRequest) -> HttpResponse:
    operator(request.user)
    return _page(request, None)


@require_POST
@signed_in
def course_halt_lift(request: HttpRequest, slug: str, halt_id: int) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    _lift(request, get_object_or_404(Halt, pk=halt_id, course=course))
    return redirect("course_halt", slug)


@require_POST
@signed_in
def halt_all_lift(request: HttpRequest, halt_id: int) -> HttpResponse:
    operator(request.user)
    _lift(request, get_object_or_404(Halt, pk=halt_id, course=None))
    return redirect("halt_all")


def _page(request: HttpRequest, course: Course | None) -> HttpResponse:
    form = HaltForm(request.POST) if request.method == "POST" else HaltForm()
    if form.is_bound and form.is_valid() and _pull(request, course, form):
        return redirect("course_halt", course.slug) if course else redirect("halt_all")
    now = timezone.now()
    found = prospect(course, now)
    form.say_what_is_saved(found)
    earlier = Halt.objects.filter(course=course).exclude(lifted_at=None).select_related("who", "lifted_by")
    context = {
        "now": now,
        "course": course,
        "form": form,
        "open": list(open_halts(course)),
        "prospect": found,
        "earlier": earlier[:HALTS_SHOWN],
        "problems": _problems(course),
    }
    return render(request, "staff/halt.html", context, status=422 if form.errors else 200)


def _pull(request: HttpRequest, course: Course | None, form: HaltForm) -> bool:
    said, who, now = form.cleaned_data, person(request), timezone.now()
    try:
        row = halting.halt(course, reach=said["reach"], why=said["why"], who=who, now=now)
    except HaltRefused as refused:
        form.add_error("why", str(refused))
        return False
    asked = halting.enforce(row, who=who, now=now)
    if asked:
        send_after_commit(tasks.stop, asked)
    text = ngettext(
        "%(n)s machine is stopping, and nothing is launched until you undo this.",
        "%(n)s machines are stopping, and nothing is launched until you undo this.",
        len(asked),
    )
    messages.success(request, text % {"n": len(asked)})
    return True


def _lift(request: HttpRequest, row: Halt) -> None:
    restart, now = request.POST.get("restart") == "yes", timezone.now()
    if not halting.lift(row, restart=restart, who=person(request), now=now):
        messages.info(request, _("Somebody has undone it already."))
        return
    for pk in halting.restart_due(now) if restart else []:
        send_after_commit(tasks.start, pk)
    messages.success(
        request,
        _("Undone. The machines that it stopped start again, as far as their money reaches.")
        if restart
        else _("Undone: machines may be launched again."),
    )


def _problems(course: Course | None) -> Sequence[HaltedMachine]:
    """Of the last one that was undone: what did not start again, and why."""
    last = Halt.objects.filter(course=course, restart=True).exclude(lifted_at=None).order_by("-lifted_at").first()
    if last is None:
        return []
    return list(last.machines.exclude(problem="").select_related("instance__owner", "instance__preset"))
