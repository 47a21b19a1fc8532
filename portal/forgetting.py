"""Removes what is personal and keeps the books: names, addresses and words go; amounts, ids and states stay.

By the sweep, so many days after a course has ended; by `manage.py forget_person` on request. A person with a machine
that still exists is not touched: somebody has to decide about the machine first.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.apps import apps
from django.db import transaction
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from courses.audit import Kind, note
from courses.models import AuditEntry, AuditNote, Course, CourseEvent, Enrollment, EnrollmentStatus, User
from instances import grants
from instances.models import Instance
from instances.states import ENDED
from portal.personal import KEPT, Kept, Whose
from spend.models import ChatMessage

log = logging.getLogger(__name__)
MOST = 50  # people of one round
_AUDIT = {"courses.AuditEntry": AuditEntry, "courses.AuditNote": AuditNote}


class StillInUse(Exception):
    """A machine of theirs still exists; its text says which."""


@dataclass(frozen=True, slots=True)
class Count:
    """So many rows of one table, and what becomes of them."""

    title: str
    rows: int
    done: str  # "deleted", "emptied: why, address", "kept"


def plan(whose: Whose) -> list[Count]:
    """What `forget` would do; changes nothing."""
    found = [Count(str(kept.title), kept.rows(whose).count(), _fate(kept)) for kept in KEPT]
    return [count for count in found if count.rows]


def forget(whose: Whose, *, why: str, who: User | None, now: datetime) -> list[Count]:
    """All of it or nothing, in one transaction. Said twice it does no more. Raises `StillInUse`."""
    with transaction.atomic():
        lines = list(Enrollment.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=_pks(whose.lines)))
        _refuse_if_in_use(lines)
        counts = plan(whose)
        _empty_words_that_name(whose)
        for kept in KEPT:
            _forget_rows(kept, whose, now)
        for line in lines:
            _forget_line(line, now)
            # About nobody: the note itself must not be the place where the name survives.
            facts = {"line": line.pk, "rows": sum(count.rows for count in counts)}
            note("person_forgotten", kind=Kind.PRIVACY, who=who, course=line.course, why=why, facts=facts, now=now)
        if whose.user is not None:
            _forget_account(whose.user, now)
    return counts


def whose_all(user: User) -> Whose:
    """The whole person; also the roster lines with their address that nobody is behind yet."""
    lines = Enrollment.objects.filter(Q(user=user) | Q(user=None, email__iexact=user.email))
    return Whose(list(lines.select_related("course")), user)


def retain(now: datetime) -> int:
    """The sweep: people of courses whose time is over. Returns how many were forgotten. One bad row stops no other."""
    done = 0
    for line in due(now)[:MOST]:
        try:
            forget(_of_line(line), why="", who=None, now=now)
            done += 1
        except StillInUse as waits:
            log.warning("retention: roster line %s waits: %s", line.pk, waits)
        except Exception:
            log.exception("retention: roster line %s failed; the others go on", line.pk)
    return done


def due(now: datetime) -> list[Enrollment]:
    """Roster lines to be forgotten now, those with machines left apart. A fixed number of queries."""
    today = now.astimezone(UTC).date()
    over = [
        course.pk
        for course in Course.objects.exclude(retention_days=None).filter(ends_on__lt=today)
        if course.ends_on + timedelta(days=course.retention_days or 0) < today
    ]
    in_use = Instance.objects.exclude(state__in=ENDED).values("owner")
    lines = Enrollment.objects.filter(course__in=over, forgotten_at=None).exclude(pk__in=in_use)
    return list(lines.select_related("course", "user").order_by("pk")[:MOST])


def _of_line(line: Enrollment) -> Whose:
    """The account goes with the last line: until then somebody may still come in with it."""
    if line.user is None or line.user.is_operator:
        return Whose([line], None)
    others = Enrollment.objects.filter(user=line.user, forgotten_at=None).exclude(pk=line.pk)
    return Whose([line], None if others.exists() else line.user)


def _pks(lines: Sequence[Enrollment]) -> list[int]:
    return [line.pk for line in lines]


def _fate(kept: Kept) -> str:
    if kept.delete:
        return "deleted"
    if kept.label in ("courses.User", "courses.Enrollment"):
        return "made nameless"
    if kept.label in _AUDIT:
        return "emptied: why, subject, address"
    return f"emptied: {', '.join(kept.blank)}" if kept.blank else "kept"


def _refuse_if_in_use(lines: Sequence[Enrollment]) -> None:
    machines = Instance.objects.filter(owner__in=lines).exclude(state__in=ENDED).values_list("slug", flat=True)
    if machines:
        raise StillInUse(f"machines still exist: {', '.join(sorted(machines))}. Delete them first.")


def _forget_rows(kept: Kept, whose: Whose, now: datetime) -> None:
    if kept.label in _AUDIT:
        _AUDIT[kept.label].objects.filter(kept.mine(whose)).erase(now)
    elif kept.label == "courses.CourseEvent":
        _empty(kept.rows(whose))
    elif kept.delete:
        kept.rows(whose).delete()
    elif kept.blank:
        kept.rows(whose).update(**kept.blank)


def _empty_words_that_name(whose: Whose) -> None:
    """Rows about several people, and messages to rooms, that have this one's name or address in them."""
    words = [*whose.addresses, *whose.names]
    courses = [line.course_id for line in whose.lines]
    named, in_chat = Q(), Q()
    for word in words:
        named |= Q(words__icontains=word) | Q(why__icontains=word)
        in_chat |= Q(title__icontains=word) | Q(body__icontains=word)
    if not words:
        return
    events = CourseEvent.objects.filter(course__in=courses).annotate(words=Cast("facts", TextField()))
    _empty(events.filter(named))
    ChatMessage.objects.filter(in_chat, channel__course__in=courses).update(title="", body="")


def _empty(events: QuerySet[CourseEvent]) -> None:
    """What was changed stays, to what goes: the audit compares the first with its entry."""
    for event in events:
        event.facts, event.why = dict.fromkeys(event.facts), ""
        event.save(update_fields=["facts", "why"])


def _forget_line(line: Enrollment, now: datetime) -> None:
    line.name, line.section = f"Former member {line.pk}", ""
    line.email = f"{line.opaque_id.hex}@forgotten.invalid"
    line.forgotten_at = line.forgotten_at or now
    if line.status != EnrollmentStatus.DROPPED:
        line.status = EnrollmentStatus.DROPPED  # nobody comes in as nobody
    line.save(update_fields=["name", "section", "email", "forgotten_at", "status"])


def _forget_account(user: User, now: datetime) -> None:
    user.email, user.full_name = f"forgotten-{user.pk}@forgotten.invalid", f"Former member {user.pk}"
    user.is_active, user.is_operator, user.forgotten_at = False, False, user.forgotten_at or now
    user.set_unusable_password()  # ends every session
    user.save()
    grants.revoke_for_user(user, now=now)


def address_known(address: str) -> Whose | None:
    """Whoever has this address: an account with its lines, or roster lines that nobody is behind."""
    user = apps.get_model("courses.User")._default_manager.filter(email__iexact=address).first()
    if user is not None:
        return whose_all(user)
    lines = list(Enrollment.objects.filter(email__iexact=address, user=None).select_related("course"))
    return Whose(lines, None) if lines else None
