"""Presets that staff allow launch by launch: asking, deciding, and the one launch that a yes is good for.

A yes whose launch came to nothing is good again: that is derived from its machine, not written down.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from courses.models import STAFF_ROLES, Course, Enrollment, EnrollmentStatus, User
from credits import letters
from instances.launch_rules import MAY_LAUNCH
from instances.models import Instance, LaunchApproval, Preset
from instances.states import ENDED

Status = LaunchApproval.Status
VALID = timedelta(days=7)


class ApprovalRefused(Exception):
    """`str()` is a sentence for the person who asked or decides."""


def usable(owner: Enrollment, preset: Preset, now: datetime) -> QuerySet[LaunchApproval]:
    """Yeses that a launch may use now."""
    return usable_of(owner, [preset], now)


def usable_of(owner: Enrollment, presets: Iterable[Preset], now: datetime) -> QuerySet[LaunchApproval]:
    came_to_nothing = Q(status=Status.USED, instance__state__in=ENDED, instance__disk_since=None)
    good = Q(status=Status.ALLOWED) | came_to_nothing
    return LaunchApproval.objects.filter(good, enrollment=owner, preset__in=presets, valid_until__gt=now).order_by("pk")


def use(machine: Instance, *, now: datetime) -> None:
    """In the transaction of the launch, whose person is locked: nobody else takes the same yes."""
    if machine.owner.role in STAFF_ROLES:
        return
    found = usable(machine.owner, machine.preset, now).first()
    if found is None:
        raise ValueError(f"{machine} was launched without leave")
    LaunchApproval.objects.filter(pk=found.pk).update(status=Status.USED, instance=machine)


def latest(owner: Enrollment, preset: Preset) -> LaunchApproval | None:
    return LaunchApproval.objects.filter(enrollment=owner, preset=preset).order_by("-at", "-pk").first()


def ask(owner: Enrollment, preset: Preset, *, why: str, now: datetime) -> LaunchApproval:
    """Raises ApprovalRefused: without a reason, or when one is open already."""
    if owner.status != EnrollmentStatus.ACTIVE or owner.role not in MAY_LAUNCH:
        raise ApprovalRefused(_("Only active students and staff of the course launch machines."))
    if not why.strip():
        raise ApprovalRefused(_("Say what you need it for: the staff decides by that."))
    try:
        with transaction.atomic():
            _expire(owner, preset, now)
            return LaunchApproval.objects.create(enrollment=owner, preset=preset, why=why.strip()[:500], at=now)
    except IntegrityError:
        raise ApprovalRefused(_("You have asked for this already.")) from None


def _expire(owner: Enrollment, preset: Preset, now: datetime) -> None:
    """A yes that is too old keeps nobody from asking again."""
    old = LaunchApproval.objects.filter(enrollment=owner, preset=preset, status=Status.ALLOWED, valid_until__lte=now)
    old.update(status=Status.WITHDRAWN)


def open_in(course: Course) -> QuerySet[LaunchApproval]:
    """What staff have to decide, the oldest first."""
    asked = LaunchApproval.objects.filter(preset__course=course, status=Status.ASKED)
    return asked.select_related("enrollment__team", "preset").order_by("at", "pk")


def decided_in(course: Course) -> QuerySet[LaunchApproval]:
    done = LaunchApproval.objects.filter(preset__course=course).exclude(status=Status.ASKED)
    return done.select_related("enrollment", "preset", "decided_by").order_by("-decided_at", "-pk")


def decide(asked: LaunchApproval, *, allow: bool, note: str, who: User, now: datetime) -> None:
    """Once; the student gets a mail. Raises ApprovalRefused: a no without a reason, or somebody was faster."""
    if not allow and not note.strip():
        raise ApprovalRefused(_("A no needs a reason: it goes to the student."))
    values = {
        "status": Status.ALLOWED if allow else Status.DENIED,
        "decided_by": who,
        "decided_at": now,
        "note": note.strip()[:500],
        "valid_until": now + VALID if allow else None,
    }
    with transaction.atomic():
        if not LaunchApproval.objects.filter(pk=asked.pk, status=Status.ASKED).update(**values):
            raise ApprovalRefused(_("This was answered already."))
        subject, body = _letter(asked, allow, note.strip())
        letters.write(f"launch-approval/{asked.pk}", to=asked.enrollment.email, subject=subject, body=body, now=now)


def _letter(asked: LaunchApproval, allow: bool, note: str) -> tuple[str, str]:
    values = {"preset": asked.preset.name, "days": VALID.days}
    if allow:
        subject = _("You may launch %(preset)s") % values
        body = _("The course staff allows one launch of “%(preset)s”, within %(days)s days. Press Launch on your page.")
    else:
        subject = _("Not now: %(preset)s") % values
        body = _("The course staff does not allow a launch of “%(preset)s” now.")
    where = f"{settings.PORTAL_URL}/c/{asked.preset.course.slug}/launch/{asked.preset.slug}"
    return subject, "\n\n".join(part for part in (body % values, note, where) if part) + "\n"
