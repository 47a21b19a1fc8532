"""Doors of a course's alerts: what is alarming now, limits, chat rooms and their test. TAs look and acknowledge."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.core.mail import EmailMessage
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from courses import audit
from courses.access import instructor_enrollment_in, staff_enrollment_in
from courses.audit import Kind
from courses.doors import address_of, number_in, person, signed_in
from courses.models import Course, Role
from instances.sweeps.alerting import newest_event
from spend import chat
from spend.alarming import acknowledge
from spend.chat import BadAddress
from spend.models import Alarm, AlertPolicy, ChatChannel, Gravity

EARLIER_SHOWN = 30


class AlertForm(forms.ModelForm):
    """The course's limits."""

    percents = forms.CharField(
        label=gettext_lazy("Tell at, percent of each budget"),
        help_text=gettext_lazy("With commas: 50, 80, 100."),
    )

    class Meta:
        model = AlertPolicy
        fields = (
            "percents",
            "forecast_days",
            "pace_factor",
            "median_factor",
            "idle_usd",
            "disk_days",
            "credit_days",
            "group_minutes",
            "quiet_from",
            "quiet_to",
            "tell_students",
        )
        labels = {
            "forecast_days": gettext_lazy("Forecast: gone so many days before the end"),
            "pace_factor": gettext_lazy("A day of so many times the plan"),
            "median_factor": gettext_lazy("A person’s day, or a machine’s hour, of so many times the median"),
            "idle_usd": gettext_lazy("Idle machines of one person, USD in seven days"),
            "disk_days": gettext_lazy("A disk unused for so many days"),
            "credit_days": gettext_lazy("Credit that ends in so many days"),
            "quiet_from": gettext_lazy("Quiet from, hour of the day"),
            "quiet_to": gettext_lazy("Quiet to, hour of the day"),
            "group_minutes": gettext_lazy("One message in so many minutes"),
            "tell_students": gettext_lazy("Tell students about their own money, too"),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["percents"] = ", ".join(str(one) for one in self.instance.percents)

    def clean_percents(self) -> list[int]:
        parts = [part.strip().rstrip("%").strip() for part in self.cleaned_data["percents"].split(",") if part.strip()]
        if not parts or not all(1 <= (number_in(part) or 0) <= 100 for part in parts):
            raise forms.ValidationError(_("Whole numbers from 1 to 100, with commas between them."))
        return sorted({int(part) for part in parts})

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        for name in ("pace_factor", "median_factor"):
            if said.get(name) is not None and said[name] < 1:
                self.add_error(name, _("At least 1."))
        for name in ("quiet_from", "quiet_to"):
            if said.get(name) is not None and said[name] > 23:
                self.add_error(name, _("An hour from 0 to 23."))
        if said.get("group_minutes") is not None and not 1 <= said["group_minutes"] <= 1440:
            self.add_error("group_minutes", _("From 1 to 1440 minutes."))
        return said


class RoomForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name of the room"), max_length=80)
    url = forms.CharField(
        label=gettext_lazy("Webhook address"),
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy(
            "As Slack, Teams, Discord, Feishu or DingTalk show it; Matrix: matrixs://user:password@server/#room. "
            "Sealed, and never shown again."
        ),
    )
    least = forms.TypedChoiceField(label=gettext_lazy("Tell from"), choices=Gravity.choices, coerce=int)
    tells_machines = forms.BooleanField(label=gettext_lazy("Warnings of machines, too"), required=False)


@sensitive_post_parameters("url")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@never_cache
def alerts(request: HttpRequest, slug: str) -> HttpResponse:
    """A POST adds a room (`act=room`), switches one on or off (`switch`), or saves the limits. Instructors alone."""
    line, now = staff_enrollment_in(request.user, slug), timezone.now()
    course, may_edit = line.course, line.role == Role.INSTRUCTOR
    if request.method == "POST" and not may_edit:
        raise Http404
    if request.POST.get("act") == "switch":
        return _switch_room(request, course, now)
    held = AlertPolicy.objects.filter(course=course).first() or AlertPolicy(course=course)
    is_room = request.POST.get("act") == "room"
    form = AlertForm(request.POST if request.method == "POST" and not is_room else None, instance=held)
    room = RoomForm(request.POST if is_room else None)
    if (is_room and room.is_valid() and _add_room(request, course, room, now)) or (
        form.is_bound and form.is_valid() and _save(request, course, form, now)
    ):
        return redirect("course_alerts", slug)
    every = Alarm.objects.filter(course=course).select_related("about", "seen_by")
    context = {
        "now": now,
        "course": course,
        "may_edit": may_edit,
        "form": form,
        "room": room,
        "rooms": ChatChannel.objects.filter(course=course),
        "open": every.filter(cleared_at=None).order_by("-gravity", "-raised_at")[:200],
        "earlier": every.exclude(cleared_at=None)[:EARLIER_SHOWN],
    }
    return render(request, "staff/alerts.html", context, status=422 if form.errors or room.errors else 200)


def _save(request: HttpRequest, course: Course, form: AlertForm, now: datetime) -> bool:
    form.save()
    _note(request, "alerts_changed", course, now, fields=", ".join(form.changed_data))
    messages.success(request, _("Saved: the next round looks with these limits."))
    return True


def _add_room(request: HttpRequest, course: Course, room: RoomForm, now: datetime) -> bool:
    said = room.cleaned_data
    try:
        made = chat.open_channel(
            course,
            name=said["name"],
            url=said["url"],
            least=said["least"],
            tells_machines=said["tells_machines"],
            now=now,
        )
    except BadAddress as bad:
        room.add_error("url", str(bad))
        return False
    ChatChannel.objects.filter(pk=made.pk).update(events_after=newest_event())
    _note(request, "room_added", course, now, room=made.pk, service=made.service)
    messages.success(request, _("Added. Press “Test” to see that it arrives."))
    return True


def _switch_room(request: HttpRequest, course: Course, now: datetime) -> HttpResponse:
    """What came while it was off is not told later."""
    number = request.POST.get("room", "")
    room = get_object_or_404(ChatChannel, pk=number if number.isdecimal() else 0, course=course)
    room.enabled, room.events_after = not room.enabled, newest_event()
    room.save(update_fields=("enabled", "events_after"))
    _note(request, "room_switched", course, now, room=room.pk, on=room.enabled)
    messages.success(request, _("Messages go there again.") if room.enabled else _("Nothing goes there any more."))
    return redirect("course_alerts", course.slug)


@require_POST
@signed_in
def alert_seen(request: HttpRequest, slug: str, alarm_id: int) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    alarm = get_object_or_404(Alarm, pk=alarm_id, course=course)
    if acknowledge(alarm, who=person(request), note=request.POST.get("note", ""), now=timezone.now()):
        messages.success(request, _("Noted: you look after it."))
    else:
        messages.info(request, _("Somebody else looks after it already."))
    return redirect("course_alerts", slug)


@require_POST
@signed_in
def alert_room_test(request: HttpRequest, slug: str, room_id: int) -> HttpResponse:
    """Says something in the room now, and tells what went wrong."""
    course = instructor_enrollment_in(request.user, slug).course
    room = get_object_or_404(ChatChannel.objects.select_related("course"), pk=room_id, course=course)
    problem = chat.test(room, timezone.now())
    if problem:
        messages.error(request, _("%(room)s: %(problem)s") % {"room": room.name, "problem": problem})
    else:
        messages.success(request, _("%(room)s: it arrived. Look there.") % {"room": room.name})
    return redirect("course_alerts", slug)


@require_POST
@signed_in
def alert_room_drop(request: HttpRequest, slug: str, room_id: int) -> HttpResponse:
    course = instructor_enrollment_in(request.user, slug).course
    room = get_object_or_404(ChatChannel, pk=room_id, course=course)
    _note(request, "room_dropped", course, timezone.now(), room=room.pk, service=room.service)
    room.delete()
    messages.success(request, _("Removed, with its address."))
    return redirect("course_alerts", slug)


@require_POST
@signed_in
def alert_mail_test(request: HttpRequest, slug: str) -> HttpResponse:
    """A mail to whoever presses, now: the outbox would hide what is wrong."""
    line = staff_enrollment_in(request.user, slug)
    body = _("This is a test from Lamplighter: alerts of %(course)s reach you here.") % {"course": line.course.name}
    try:
        EmailMessage(_("Test: alerts of %(course)s") % {"course": line.course.name}, body, to=[line.email]).send()
    except OSError as error:
        messages.error(request, _("The mail server says: %(said)s") % {"said": error})
    else:
        messages.success(request, _("A mail is on its way to %(to)s.") % {"to": line.email})
    return redirect("course_alerts", slug)


def _note(request: HttpRequest, what: str, course: Course, now: datetime, **facts: object) -> None:
    who = person(request)
    audit.note(what, kind=Kind.DECISION, who=who, course=course, address=address_of(request), facts=facts, now=now)
