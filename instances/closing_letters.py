"""What a closing mails, and to whom: letters of the outbox, each written once. They say what happens and until when."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from courses.models import Course, Enrollment, EnrollmentStatus, Role
from credits import letters
from credits.telling import in_portal_language
from instances.closing_records import Closing
from instances.disk_records import DiskPolicy
from instances.disk_rules import COSTS
from instances.models import Instance
from instances.states import ENDED


def day(value: date) -> str:
    return date_format(value, "LONG_DATE_FORMAT")


def last_day_before(at: datetime, course: Course) -> date:
    """The last whole day before `at`, as a person of the course counts."""
    return (at.astimezone(ZoneInfo(course.timezone)) - timedelta(seconds=1)).date()


def words(closing: Closing) -> dict[str, str]:
    return {
        "course": closing.course.name,
        "day": day(closing.day),
        "until": day(closing.kept_day),
        "whom": closing.course.contact or _("the staff"),
    }


def announced(closing: Closing, now: datetime) -> None:
    subject = _("%(course)s closes on %(day)s: save what you want to keep")
    body = _(
        "%(course)s closes when %(day)s is over. Machines are stopped then, and none can be started any more.\n\n"
        "Your files: each disk is archived. When AWS says that the archive is complete, the machine and its disk are "
        "deleted. The archive is kept until %(until)s and then deleted for good. Nobody mails it to you, and to open "
        "it you need %(whom)s: so download what you want to keep now, while your machine can be started.\n\n"
        "AWS codes that you have claimed stay yours; those that nobody has claimed by then go back."
    ) + _how_to_take_along(closing)
    _to_everybody(closing, f"{closing.last_day}/{closing.keep_days}", subject, body, now)


def reminded(closing: Closing, now: datetime) -> None:
    subject = _("In a few days %(course)s closes: save what you want to keep")
    body = _(
        "When %(day)s is over, machines are stopped for good, archived and deleted. Archives are kept until %(until)s. "
        "Download what you want to keep, and claim your AWS code if you have not yet."
    ) + _how_to_take_along(closing)
    _to_everybody(closing, f"reminder/{closing.last_day}", subject, body, now)


def _how_to_take_along(closing: Closing) -> str:
    """Where packed files can be downloaded: how, and the last day for it."""
    if not settings.ARCHIVE_BUCKET:
        return ""
    days = DiskPolicy.of(closing.course).download_days
    text = _(
        "Take your files with you: press “Pack my files” on your machine’s page, on %(day)s at the "
        "latest. You get a mail when they can be downloaded, for %(n)s days, also when the machine is gone."
    )
    return "\n\n" + text % {"day": day(closing.day), "n": days}


def called_off(closing: Closing, now: datetime) -> None:
    subject = _("%(course)s is not closed as announced")
    body = _("The closing that was announced for %(day)s is called off. Disks that are there stay.")
    _to_everybody(closing, "off", subject, body, now)


def archived(closing: Closing, machine: Instance, until: datetime, now: datetime) -> None:
    """To its owner, in the transaction in which its deletion is asked for."""
    with in_portal_language():
        told = {
            **words(closing),
            "preset": machine.preset.name,
            "machine": machine.slug,
            "until": day(last_day_before(until, closing.course)),
        }
        subject = _("Your disk is archived: %(preset)s") % told
        body = _(
            "%(course)s is over. The disk of %(preset)s (%(machine)s) is archived, AWS says that the archive is "
            "complete, and the machine is being deleted with its disk.\n\n"
            "The archive is kept until %(until)s, then deleted for good. You need something out of it? Ask %(whom)s "
            "for a later last day; then restore it on your page to a new machine, and download."
        )
        _write(closing, f"archived/{machine.pk}", machine.owner, subject, body % told, now)


def last_call(closing: Closing, ends: Iterable[tuple[Enrollment, datetime]], now: datetime) -> bool:
    """To those whose archives are deleted in a few days, and when: once for each such day, which the key names. Without
    it, whose archive is kept for longer after the call would not be called again. False: all were told before."""
    days = ((owner, last_day_before(at, closing.course)) for owner, at in ends)
    due = {f"last-call/{owner.pk}/{until}": (owner, until) for owner, until in days}
    told = letters.written(_whole(closing, key) for key in due)
    new = [key for key in due if _whole(closing, key) not in told]
    with in_portal_language():
        for key in new:
            owner, until = due[key]
            values = {**words(closing), "until": day(until)}
            subject = _("Your archive of %(course)s is deleted after %(until)s") % values
            body = _("What is still in it is gone after that day. You need it? Ask %(whom)s now.") % values
            _write(closing, key, owner, subject, body, now)
    return bool(new)


def finished(closing: Closing, now: datetime) -> None:
    """To its instructors: the final statement."""
    statement = closing.statement or {}
    with in_portal_language():
        told = {**words(closing), "usd": f"${float(statement.get('spent_usd', 0)):,.2f}", "link": _staff_page(closing)}
        subject = _("%(course)s is closed: %(usd)s in all") % told
        body = _("Nothing of %(course)s is left at AWS. It cost %(usd)s in all; the final statement: %(link)s") % told
        body += "".join(f"\n\n{lost_words(one)}" for one in statement.get("lost", []))
        for line in closing.course.enrollments.filter(role=Role.INSTRUCTOR, status=EnrollmentStatus.ACTIVE):
            _write(closing, f"finished/{line.pk}", line, subject, body, now)


def lost_words(one: dict[str, Any]) -> str:
    """Of one line of a statement."""
    text = _("Except in %(account)s, which was given up as lost: machines: %(machines)s, copies: %(copies)s.")
    return text % one


def _to_everybody(closing: Closing, key: str, subject: str, body: str, now: datetime) -> None:
    """Who is in the course, and who has left it and still has a machine or a copy there."""
    theirs = Q(status=EnrollmentStatus.ACTIVE) | Q(pk__in=_owners(closing.course))
    with in_portal_language():
        told = words(closing)
        for line in closing.course.enrollments.filter(theirs, forgotten_at=None).exclude(role=Role.SPONSOR):
            _write(closing, f"{key}/{line.pk}", line, subject % told, body % told, now)


def _owners(course: Course) -> list[int]:
    machines = Instance.objects.filter(course=course).exclude(state__in=ENDED).values_list("owner", flat=True)
    copies = course.snapshots.filter(standing__in=COSTS).values_list("owner", flat=True)
    return [*machines, *copies]


def _write(closing: Closing, key: str, line: Enrollment, subject: str, body: str, now: datetime) -> None:
    page = f"{settings.PORTAL_URL}/c/{closing.course.slug}/"
    letters.write(_whole(closing, key), to=line.email, subject=subject, body=f"{body}\n\n{page}\n", now=now)


def _whole(closing: Closing, key: str) -> str:
    return f"closing/{closing.pk}/{key}"


def _staff_page(closing: Closing) -> str:
    return f"{settings.PORTAL_URL}/c/{closing.course.slug}/staff/closing/"
