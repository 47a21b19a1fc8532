"""What is mailed about a machine, and to whom. Sending, and sending it once, is the notices sweep."""

from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.utils.translation import gettext as _

from courses.models import STAFF_ROLES, Course, Enrollment, EnrollmentStatus, Role, User
from instances.idle import TWO_REPORTS
from instances.keep_links import keep_url
from instances.launch_rules import usd_for
from instances.models import Instance, InstanceEvent
from instances.policy_words import span
from instances.states import ENDED, State

Kind = InstanceEvent.Kind
_GONE = (*ENDED, State.TERMINATING)


def staff_address(course: Course) -> str:
    """Who is called when a machine needs a person: who runs the installation, else the course's staff; "" if nobody."""
    operator = User.objects.filter(is_operator=True, is_active=True).order_by("pk").first()
    if operator:
        return operator.email
    staff = Enrollment.objects.filter(course=course, role__in=STAFF_ROLES, status=EnrollmentStatus.ACTIVE)
    found = staff.filter(role=Role.INSTRUCTOR).order_by("pk").first() or staff.order_by("pk").first()
    return found.email if found else ""


def message(event: InstanceEvent, *, for_room: bool = False) -> tuple[str, str]:
    """Subject and body of the mail that this event asks for. `for_room`: of the chat's message, without the link that
    works without signing in: a room may be everybody's."""
    machine = event.instance
    lines = [
        event.reason,
        "",
        *_what_next(event, for_room=for_room),
        _("Machine: %(preset)s (%(machine)s)") % {"preset": machine.preset.name, "machine": machine.slug},
        _("Course: %(course)s") % {"course": machine.course.name},
        f"{settings.PORTAL_URL}/machines/{machine.slug}/",
    ]
    return f"{_subject(event)}: {machine.preset.name}", "\n".join(lines) + "\n"


def _what_next(event: InstanceEvent, *, for_room: bool) -> list[str]:
    """The one thing to do about it, without a new sign-in where that is safe; and what it costs meanwhile."""
    machine = event.instance
    if event.kind in (Kind.WARNED, Kind.MONEY):
        if for_room:
            return []
        link = {"link": keep_url(machine)}
        return [_("Using it keeps it on. So does this link, without signing in: %(link)s") % link, ""]
    if event.kind != Kind.MOVED or event.new_state not in (State.STOPPING, State.STOPPED) or _never_came(event):
        return []
    prices = {"off": usd_hour(machine.disk_usd_hour), "on": usd_hour(machine.usd_hour + machine.disk_usd_hour)}
    lines = [_("Off it costs %(off)s an hour (its disk, with your files), on it was %(on)s.") % prices]
    if machine.last_active_at and machine.last_active_at < event.at and _was_heard(machine, event.at):
        idle = (event.at - machine.last_active_at).total_seconds()
        values = {"span": span(idle // 60 * 60), "usd": f"${usd_for(machine.usd_hour, idle):.2f}"}
        lines.append(_("It had not been used for %(span)s, which cost %(usd)s.") % values)
    return [*lines, _("Start it again at the address below; your files are where they were."), ""]


def _was_heard(machine: Instance, at: datetime) -> bool:
    """Of one that was silent, nobody knows how long it had not been used."""
    return machine.last_report_at is not None and at - machine.last_report_at <= timedelta(seconds=TWO_REPORTS)


def _never_came(event: InstanceEvent) -> bool:
    """A launch that was called off: nobody has files there, or can start it again."""
    return event.new_state == State.STOPPING and (not event.instance.cloud_id or event.instance.state in _GONE)


def usd_hour(price: Decimal) -> str:
    return f"${price:.3f}"


def _subject(event: InstanceEvent) -> str:
    if event.facts.get("asks"):
        return _("Still training?")
    if "silent" in event.facts:
        return _("Your machine cannot be seen")
    if "home" in event.facts:
        return _("Your files are ready") if "bytes" in event.facts else _("Your files were not packed")
    subjects = {
        Kind.WARNED: _("Your machine will be stopped"),
        Kind.MONEY: _("Your machine cannot be extended"),
        Kind.TROUBLE: _("A machine needs a person"),
        Kind.REFUSED: _("AWS said no"),
        Kind.MOVED: _("Your machine has stopped"),
        Kind.QUEUED: _("Your machine is starting"),
    }
    if event.new_state == State.FAILED or _never_came(event):
        return _("Your machine was not launched")
    return subjects.get(Kind(event.kind), _("About your machine"))
