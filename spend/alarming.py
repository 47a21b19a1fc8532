"""Alarms as rows: raised once per crossing, cleared when no longer so, and put into one message per person and period.

What is alarming is `alerts.py`'s. Mail goes out as letters, chat as `chat.py` sends it: both are outboxes, so that
nothing is lost when one of them is down.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from courses.models import STAFF_ROLES, Course, Enrollment, EnrollmentStatus, Role, User
from credits import letters
from credits.telling import in_portal_language
from spend.alert_words import words
from spend.alerts import CourseFacts, Limits, Raised, Who, alarms, due_at
from spend.models import Alarm, AlarmNote, AlertPolicy, ChatChannel, ChatMessage

logger = logging.getLogger(__name__)
_PUT_AT_ONCE = 2000
_TOGETHER = 50  # recipients in one transaction
_MOST_TOLD = 40  # alarms in one message: the gravest


def limits_of(policy: AlertPolicy) -> Limits:
    return Limits(
        percents=policy.percents,
        forecast_days=policy.forecast_days,
        pace_factor=policy.pace_factor,
        median_factor=policy.median_factor,
        idle_usd=policy.idle_usd,
        disk_days=policy.disk_days,
        credit_days=policy.credit_days,
    )


def evaluate(course: Course, facts: CourseFacts, *, now: datetime) -> list[Alarm]:
    """Raise what is new, clear what is no longer so; returns what was raised. Two at once raise it once."""
    policy = AlertPolicy.of(course)
    standing = {one.key: one for one in Alarm.objects.filter(course=course, cleared_at=None)}
    current = {one.key: one for one in alarms(facts, limits_of(policy), standing.keys())}
    gone = [one.pk for key, one in standing.items() if key not in current]
    new = [one for key, one in current.items() if key not in standing]
    try:
        with transaction.atomic(), in_portal_language():
            if gone:
                Alarm.objects.filter(pk__in=gone, cleared_at=None).update(cleared_at=now)
            return _raise(course, policy, new, now) if new else []
    except IntegrityError:  # another round was faster: its rows are the ones
        logger.info("alarms of %s were raised by another round", course)
        return []


@dataclass(slots=True)
class _People:
    """Who is who in the course, in one query."""

    by_pk: dict[int, Enrollment] = field(default_factory=dict)
    by_role: dict[str, list[Enrollment]] = field(default_factory=lambda: defaultdict(list))
    by_team: dict[int, list[Enrollment]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, course: Course) -> "_People":
        people = cls()
        for line in Enrollment.objects.filter(course=course, status=EnrollmentStatus.ACTIVE):
            people.by_pk[line.pk] = line
            people.by_role[line.role].append(line)
            if line.team_id:
                people.by_team[line.team_id].append(line)
        return people

    def audience(self, one: Raised, *, tell_students: bool) -> set[int]:
        """Keys of the enrollments that hear of it."""
        found = [line for who, role in _ROLES.items() if who in one.audience for line in self.by_role[role]]
        if tell_students and Who.STUDENT in one.audience and one.enrollment in self.by_pk:
            found.append(self.by_pk[one.enrollment])
        if tell_students and Who.TEAM in one.audience and one.team is not None:
            found += self.by_team[one.team]
        return {line.pk for line in found}


_ROLES = {Who.TA: Role.TA, Who.INSTRUCTOR: Role.INSTRUCTOR, Who.SPONSOR: Role.SPONSOR}


def _raise(course: Course, policy: AlertPolicy, new: Sequence[Raised], now: datetime) -> list[Alarm]:
    people, rooms = _People.of(course), list(ChatChannel.objects.filter(course=course, enabled=True))
    rows = Alarm.objects.bulk_create([_row(course, one, people, now) for one in new], batch_size=500)
    local = now.astimezone(ZoneInfo(course.timezone))
    notes: list[AlarmNote] = []
    for one, row in zip(new, rows, strict=True):
        if one.is_silent:
            continue
        quiet = (policy.quiet_from, policy.quiet_to)
        due = due_at(now, local, gravity=one.gravity, group_minutes=policy.group_minutes, quiet=quiet)
        told = sorted(people.audience(one, tell_students=policy.tell_students))
        notes += [AlarmNote(alarm=row, to_id=pk, due_at=due) for pk in told]
        if Who.ROOM in one.audience:
            notes += [AlarmNote(alarm=row, channel=room, due_at=due) for room in rooms if one.gravity >= room.least]
    AlarmNote.objects.bulk_create(notes, batch_size=500)
    return rows


def _row(course: Course, one: Raised, people: _People, now: datetime) -> Alarm:
    about = people.by_pk.get(one.enrollment) if one.enrollment else None
    title, text = words(one.kind, one.facts, about.name if about else "")
    return Alarm(
        course=course,
        kind=one.kind,
        key=one.key,
        about=about,
        gravity=one.gravity,
        title=title,
        text=text,
        facts=dict(one.facts),
        raised_at=now,
    )


def acknowledge(alarm: Alarm, *, who: User, note: str, now: datetime) -> bool:
    """Somebody looks after it; False when somebody else said so before. It stays open until it is no longer so."""
    unseen = Alarm.objects.filter(pk=alarm.pk, seen_at=None)
    return bool(unseen.update(seen_by=who, seen_at=now, seen_note=note.strip()[:300]))


# ------------------------------------------------------------------ notes become messages
def put_due(now: datetime) -> int:
    """Everything that is due for one person or room becomes one message; returns how many messages."""
    due = AlarmNote.objects.filter(put_at=None, due_at__lte=now).order_by("due_at", "pk")
    recipients = list(dict.fromkeys(due.values_list("to", "channel")[:_PUT_AT_ONCE]))
    written = 0
    for first in range(0, len(recipients), _TOGETHER):
        with transaction.atomic(), in_portal_language():
            written += _put(recipients[first : first + _TOGETHER], now)
    return written


def _put(recipients: Iterable[tuple[int | None, int | None]], now: datetime) -> int:
    """Locked in the order of their keys: a second round waits, and then finds them put."""
    to = [one for one, _room in recipients if one]
    rooms = [room for _one, room in recipients if room]
    due = AlarmNote.objects.filter(put_at=None, due_at__lte=now).select_for_update(no_key=True, of=("self",))
    related = due.select_related("alarm__course", "alarm__about", "to", "channel")
    notes = [*related.filter(to__in=to).order_by("pk"), *related.filter(channel__in=rooms).order_by("pk")]
    groups: dict[tuple[int | None, int | None], list[AlarmNote]] = defaultdict(list)
    for note in notes:
        groups[note.to_id, note.channel_id].append(note)
    for group in groups.values():
        _write(group, now)
    AlarmNote.objects.bulk_update(notes, ("put_at", "message"), batch_size=500)
    return len(groups)


def _write(notes: list[AlarmNote], now: datetime) -> None:
    first = notes[0]
    key = f"alarms/{first.pk}"
    alarms = sorted((note.alarm for note in notes), key=lambda one: (-one.gravity, one.pk))
    course, found = first.alarm.course, [_said(one, first.to) for one in alarms]
    subject = _subject(course, found)
    if first.to is not None:
        body = _body(found, f"{settings.PORTAL_URL}{_page_for(first.to)}")
        letters.write(key, to=first.to.email, subject=subject, body=body, now=now)
    else:
        body = _body(found, f"{settings.PORTAL_URL}/c/{course.slug}/staff/alerts/", for_room=True)
        message = ChatMessage(key=key, channel=first.channel, title=subject, body=body, created_at=now)
        ChatMessage.objects.bulk_create([message], ignore_conflicts=True)
    for note in notes:
        note.put_at, note.message = now, key


def _said(alarm: Alarm, to: Enrollment | None) -> tuple[str, str]:
    """Title and text: as staff read it, or as the very person does."""
    if to is not None and alarm.about_id == to.pk:
        return words(alarm.kind, alarm.facts)
    return alarm.title, alarm.text


def _subject(course: Course, found: Sequence[tuple[str, str]]) -> str:
    title, _text = found[0]
    if len(found) == 1:
        return f"{course.name}: {title}"[:200]
    more = ngettext("and %(n)d more", "and %(n)d more", len(found) - 1) % {"n": len(found) - 1}
    return f"{course.name}: {title[:120]}, {more}"[:200]


def _body(found: Sequence[tuple[str, str]], url: str, *, for_room: bool = False) -> str:
    """`for_room`: the link comes first, because a chat may cut the end off (see `chat.py`)."""
    parts = [f"{title}\n{text}" for title, text in found[:_MOST_TOLD]]
    if len(found) > _MOST_TOLD:
        parts.append(_("… and %(n)d more, on the page.") % {"n": len(found) - _MOST_TOLD})
    why = _("You get one message for each period. Times and limits: your course staff set them.")
    return "\n\n".join([url, *parts, why] if for_room else [*parts, url, why]) + "\n"


def _page_for(line: Enrollment) -> str:
    course = line.course.slug
    return f"/c/{course}/staff/alerts/" if line.role in STAFF_ROLES else f"/c/{course}/"
