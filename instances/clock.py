"""Moments as a person of the course reads them: in the course's own time zone. For text that is stored or mailed."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils.formats import date_format

from courses.models import Course


def clock(course: Course, at: datetime, now: datetime) -> str:
    """ "18:40 PST", or with its day when that is not today. The zone is named, because the page beside it shows times
    in its viewer's zone, and a mail is read anywhere: "stops at 18:40" would be hours off for whoever travels."""
    zone = ZoneInfo(course.timezone)
    local = at.astimezone(zone)
    today = local.date() == now.astimezone(zone).date()
    return f"{date_format(local, 'TIME_FORMAT' if today else 'WEEKDAY_TIME_FORMAT')} {_zone_name(local)}"


def _zone_name(local: datetime) -> str:
    """ "PST"; where a zone has no letters of its own: "UTC-03"."""
    name = local.tzname() or "UTC"
    return f"UTC{name}" if name[0] in "+-" else name
