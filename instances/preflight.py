"""The preflight of a course: what its presets need of AWS, from what AWS said last; asking for more; warning early."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from cloud.base import Cloud, CloudError, Transient
from cloud.quotas import NAMES
from courses.models import Course, Enrollment, EnrollmentStatus, Role, User
from credits import letters
from instances.models import Preset, QuotaAsk
from instances.preflight_rules import USUAL_SHARE, Line, Wanted, lines, shortages, warning_due
from instances.preset_checks import request_words
from instances.preset_verdict import TypeFound

logger = logging.getLogger(__name__)
OPEN = ("", "PENDING", "CASE_OPENED")
_LOOK = timedelta(hours=1)
LARGEST = 100_000  # vCPUs: more is a slip of the finger


class AskRefused(Exception):
    """`str()` is a sentence for the instructor."""


@dataclass(frozen=True, slots=True)
class Preflight:
    students: int
    share: int
    lines: list[Line]
    unchecked: list[Preset]  # AWS was not asked about them yet, or none of their types can be had
    as_of: datetime | None  # the oldest answer


def preflight(course: Course, share: int = USUAL_SHARE) -> Preflight:
    """Two queries. Asks AWS nothing."""
    people = Enrollment.objects.filter(course=course, role=Role.STUDENT, status=EnrollmentStatus.ACTIVE)
    students = people.count()
    presets = list(course.presets.filter(enabled=True).select_related("check_result"))
    wanted = {preset.pk: _wanted(preset) for preset in presets}
    checked = [check.checked_at for preset in presets if (check := getattr(preset, "check_result", None))]
    return Preflight(
        students=students,
        share=share,
        lines=lines([one for one in wanted.values() if one], students, share),
        unchecked=[preset for preset in presets if wanted[preset.pk] is None],
        as_of=min(checked, default=None),
    )


def _wanted(preset: Preset) -> Wanted | None:
    check = getattr(preset, "check_result", None)
    return wanted_from(preset, check.facts if check else [])


def wanted_from(preset: Preset, told: Sequence[dict[str, Any]]) -> Wanted | None:
    """`told`: what AWS said of each of its types, in order. None: none of them can be had, as far as is known."""
    facts = next((one for one in told if one["zones"] and one["quota_code"]), None)
    if facts is None:
        return None
    names = ("instance_type", "vcpus", "quota_code", "quota_name", "vcpus_allowed")
    return Wanted(preset=preset.name, zones=len(facts["zones"]), **{name: facts[name] for name in names})


def text_for(line: Line) -> str:
    """The request that is ready to be sent."""
    one = line.wanted
    found = TypeFound(one.instance_type, (), None, one.vcpus, one.quota_code, one.quota_name, one.vcpus_allowed)
    return request_words(found, machines=line.machines)


# ------------------------------------------------------------------ asking AWS
@transaction.atomic
def request_quota(course: Course, code: str, vcpus: int, *, had: int, who: User, now: datetime) -> QuotaAsk:
    """Written down before AWS is asked. Raises AskRefused."""
    if code not in NAMES:
        raise AskRefused(_("There is no such quota."))
    if not had < vcpus <= LARGEST:
        raise AskRefused(_("Ask for more than the %(n)s vCPUs that there are.") % {"n": had})
    Course.objects.select_for_update(no_key=True).get(pk=course.pk)
    asked = QuotaAsk.objects.filter(region=settings.AWS_REGION, code=code, status__in=OPEN, problem="")
    if asked.exists():
        raise AskRefused(_("AWS has been asked for this quota already, and has not answered yet."))
    return QuotaAsk.objects.create(
        course=course, region=settings.AWS_REGION, code=code, had=had, wanted=vcpus, who=who, at=now
    )


def send(ask_id: int, *, cloud: Cloud, now: datetime) -> None:
    """Ask AWS for the quota of this row. Safe to say twice: a request whose answer was lost is found again."""
    ask = QuotaAsk.objects.get(pk=ask_id)
    if ask.request_id or ask.problem:
        return
    try:
        asked = cloud.catalog.quota_requests(ask.code)
        known = [one for one in asked if one.status in OPEN and one.vcpus == ask.wanted]
        told = known[0] if known else cloud.catalog.ask_quota(ask.code, ask.wanted)
    except Transient as error:
        logger.warning("quota %s: not asked yet: %s", ask.code, error)
        return
    except CloudError as error:
        logger.error("quota %s: AWS refused the request: %s", ask.code, error)
        QuotaAsk.objects.filter(pk=ask.pk).update(problem=str(error)[:300], looked_at=now)
        return
    QuotaAsk.objects.filter(pk=ask.pk).update(request_id=told.request_id, status=told.status, looked_at=now)


def look(cloud: Cloud, now: datetime) -> int:
    """What became of the requests that are open; those that were never sent are sent."""
    due = Q(looked_at=None) | Q(looked_at__lte=now - _LOOK)
    found = list(QuotaAsk.objects.filter(due, status__in=OPEN, problem="", region=settings.AWS_REGION))
    for ask in found:
        if not ask.request_id:
            send(ask.pk, cloud=cloud, now=now)
            continue
        try:
            told = {one.request_id: one.status for one in cloud.catalog.quota_requests(ask.code)}
        except CloudError as error:
            logger.warning("quota %s: AWS did not say: %s", ask.code, error)
            continue
        QuotaAsk.objects.filter(pk=ask.pk).update(status=told.get(ask.request_id, ask.status), looked_at=now)
    return len(found)


# ------------------------------------------------------------------ warning early
def warn(now: datetime) -> int:
    """Instructors hear of a quota that is too small, weeks before the term and again. Returns how many letters."""
    today = now.date()
    written = 0
    for course in Course.objects.filter(ends_on__gte=today, starts_on__lte=today + timedelta(days=29)):
        days = warning_due(course.starts_on, now.astimezone(ZoneInfo(course.timezone)).date())
        short = shortages(preflight(course).lines) if days is not None else []
        written += sum(_letter(course, line, days or 0, now) for line in short)
    return written


def _letter(course: Course, line: Line, days: int, now: datetime) -> int:
    people = Enrollment.objects.filter(course=course, role=Role.INSTRUCTOR, status=EnrollmentStatus.ACTIVE)
    values = {
        "course": course.name,
        "quota": line.wanted.quota_name,
        "allowed": line.wanted.vcpus_allowed,
        "needed": line.vcpus_needed,
        "n": line.machines,
        "preset": line.wanted.preset,
        "fits": line.fits,
    }
    subject = _("AWS's quota is too small for %(course)s") % values
    body = _(
        "When %(n)s students run “%(preset)s” at once, %(needed)s vCPUs are needed; AWS allows %(allowed)s of "
        "“%(quota)s”: that is %(fits)s machines. Ask AWS now: it takes days, and it may give only a part."
    )
    where = f"{settings.PORTAL_URL}/c/{course.slug}/staff/preflight/"
    text = "\n\n".join((body % values, text_for(line), where)) + "\n"
    for one in people:
        key = f"preflight/{course.pk}/{line.wanted.quota_code}/{days}/{one.pk}"
        letters.write(key, to=one.email, subject=subject, body=text, now=now)
    return len(people)
