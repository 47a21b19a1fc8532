"""Presets that staff allow launch by launch: asking, deciding, and the one machine that a yes is good for: one that is
launched, or a stopped one that becomes of that preset (`resizing.py`).

A yes whose launch came to nothing is good again: that is derived from its machine, not written down. So is one that
stands on no machine any more, because the machine never ran as it was allowed to.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, IntegerField, OuterRef, Q, QuerySet
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from courses.models import STAFF_ROLES, Course, Enrollment, EnrollmentStatus, User
from credits import letters
from instances.launch_rules import MAY_LAUNCH
from instances.models import Instance, LaunchApproval, Preset, Run
from instances.states import ENDED

Status = LaunchApproval.Status
VALID = timedelta(days=7)


class ApprovalRefused(Exception):
    """`str()` is a sentence for the person who asked or decides."""


def usable(owner: Enrollment, preset: Preset, now: datetime) -> QuerySet[LaunchApproval]:
    """Yeses that a launch may use now."""
    return usable_of(owner, [preset], now)


def usable_of(owner: Enrollment, presets: Iterable[Preset], now: datetime) -> QuerySet[LaunchApproval]:
    never_was = Q(instance__disk_since=None) | (Q(instance__resized_from__has_key="leave") & ~Exists(_runs_since()))
    came_to_nothing = Q(status=Status.USED) & (Q(instance=None) | Q(never_was, instance__state__in=ENDED))
    good = Q(status=Status.ALLOWED) | came_to_nothing
    return LaunchApproval.objects.filter(good, enrollment=owner, preset__in=presets, valid_until__gt=now).order_by("pk")


def _runs_since() -> QuerySet[Run]:
    """Of the machine that became one of the preset by this yes: runs after that."""
    resized_at = Cast(OuterRef("instance__resized_from__leave"), IntegerField())
    return Run.objects.filter(instance=OuterRef("instance"), number__gt=resized_at)


def use(machine: Instance, preset: Preset, *, now: datetime) -> bool:
    """In the transaction of the launch or the change, whose person is locked: nobody else takes the same yes. False:
    none is needed."""
    if not preset.needs_approval or machine.owner.role in STAFF_ROLES:
        return False
    found = usable(machine.owner, preset, now).first()
    if found is None:
        raise ValueError(f"{machine} became a {preset.slug} without leave")
    # A machine names one yes. The one that it was launched with is spent: without this it would be good again.
    LaunchApproval.objects.filter(instance=machine).exclude(pk=found.pk).update(instance=None, valid_until=now)
    LaunchApproval.objects.filter(pk=found.pk).update(status=Status.USED, instance=machine)
    return True


def take_back(machine: Instance) -> None:
    """It is not to be of that preset any more. If it never ran as one, its yes is good for another machine."""
    used_at = machine.resized_from.get("leave")
    if used_at is not None and not machine.runs.filter(number__gt=used_at).exists():
        LaunchApproval.objects.filter(instance=machine).update(instance=None)


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
