"""A week of a course's spend as a report: to print, to mail, to pass on. It names nobody."""

import logging
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from courses.models import Course, Enrollment
from credits import letters
from credits.telling import in_portal_language
from instances.deadlines import Night
from portal.figures import usd
from portal.spend_charts import burn_words
from portal.spending import Row, Spending, today_of
from spend import readers
from spend.periods import CUSTOM, Period, week_of

logger = logging.getLogger(__name__)
MORNING = 7  # the hour of Monday, in the course's zone, at which the last week's report goes out


@dataclass(frozen=True, slots=True)
class Weekly:
    found: Spending
    monday: date

    @property
    def last(self) -> date:
        return self.monday + timedelta(days=6)

    @property
    def days(self) -> list[Row]:
        return self.found.rows("day")

    @property
    def purposes(self) -> list[Row]:
        return self.found.rows("purpose")

    @property
    def presets(self) -> list[Row]:
        return self.found.rows("preset")

    @property
    def forecast(self) -> str:
        return burn_words(self.found.burndown)

    @property
    def due_soon(self) -> list[Night]:
        """The nights of the two weeks after it, with what they will want."""
        until = self.last + timedelta(days=14)
        return [night for night in self.found.nights if self.last < night.milestone.due_on <= until]


def weekly(course: Course, monday: date, now: datetime) -> Weekly:
    return Weekly(Spending(course, Period(CUSTOM, monday, monday + timedelta(days=6)), now), monday)


def latest_monday(now: datetime) -> date:
    """Of the last week that is complete."""
    return week_of(today_of(now)) - timedelta(days=7)


def mail_weekly(report: Weekly, to: Enrollment, address: str, now: datetime) -> None:
    """To the one who asked for it; a click that is sent twice within a minute is one mail. `address`: the portal's."""
    _write(report, to, f"weekly/{report.found.course.pk}/{report.monday}/{to.pk}/{now:%Y%m%d%H%M}", address, now)


def mail_due(now: datetime) -> int:
    """To all who want each week's, once; returns how many letters. A round that was missed is made up for later in the
    week. One course that fails keeps no other's back."""
    week, written = latest_monday(now), 0
    reports: dict[int, Weekly] = {}
    for reader in readers.waiting_for(week):
        course = reader.enrollment.course
        if now < _goes_out(course, week):
            continue
        try:
            with transaction.atomic(), in_portal_language():
                if readers.take(reader, week):
                    report = reports.setdefault(course.pk, weekly(course, week, now))
                    _write(report, reader.enrollment, f"weekly/{reader.pk}/{week}", settings.PORTAL_URL, now)
                    written += 1
        except Exception:
            logger.exception("weekly report of %s for %s failed; the others go on", course, reader.enrollment_id)
    return written


def _goes_out(course: Course, week: date) -> datetime:
    after = week + timedelta(days=7)
    return datetime(after.year, after.month, after.day, MORNING, tzinfo=ZoneInfo(course.timezone))


def _write(report: Weekly, to: Enrollment, key: str, address: str, now: datetime) -> None:
    course = report.found.course
    subject = _("[For your information] %(course)s: %(usd)s in the week of %(day)s") % {
        "course": course.name,
        "usd": usd(report.found.total.usd),
        "day": f"{report.monday:%Y-%m-%d}",
    }
    link = f"{address}{reverse('spend_report', args=[course.slug])}?week={report.monday:%Y-%m-%d}"
    body = render_to_string("staff/spend/report.txt", {"report": report, "course": course, "now": now, "link": link})
    letters.write(key, to=to.email, subject=subject, body=body, now=now)
