"""What is still missing before a course's first day: each thing with what to do and where. Reads only."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from django.conf import settings
from django.db.models import Count, Q, Sum
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from courses.models import NO_BUDGET_ROLES, Course, EnrollmentStatus, Role
from credits.models import CreditCode
from instances.launch_rules import affordable
from instances.models import PresetCheck
from instances.requesting import kind_of
from portal.guards import guards
from spend.models import ZERO, Budget, Level


class State(StrEnum):
    GOOD = "good"
    LOOK = "look"  # goes without it, but somebody should look
    MISSING = "missing"  # students would meet a closed door


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    state: State
    words: str  # what is so, and what to do
    link: str = ""  # where; empty: on the server


def readiness(course: Course, now: datetime) -> list[Check]:
    """The same number of queries for any course."""
    return [
        _sign_in(),
        *_people(course),
        *_money(course),
        *_presets(course),
        _aws(),
        *_quota_and_image(course, now),
        _codes(course),
        _mail(),
        _guard(now),
        _days(course, now),
    ]


def link_to(name: str, course: Course) -> str:
    return reverse(name, args=[course.slug])


def _sign_in() -> Check:
    doors = [str(provider["name"]) for provider in settings.OIDC_PROVIDERS]
    doors += [str(provider.get("name", "SAML")) for provider in getattr(settings, "SAML_PROVIDERS", [])]
    if getattr(settings, "EMAIL_CODES", False):
        doors.append(_("e-mail code"))
    if doors:
        return Check(_("Sign-in"), State.GOOD, _("People sign in with %(doors)s.") % {"doors": ", ".join(doors)})
    words = _("Nobody can sign in. Whoever runs this portal registers it at the university (docs/operations.md).")
    return Check(_("Sign-in"), State.MISSING, words)


def _people(course: Course) -> Iterator[Check]:
    active = Q(status=EnrollmentStatus.ACTIVE)
    counts = course.enrollments.aggregate(
        students=Count("pk", filter=active & Q(role=Role.STUDENT)),
        staff=Count("pk", filter=active & Q(role__in=(Role.TA, Role.INSTRUCTOR))),
        poor=Count("pk", filter=active & ~Q(role__in=NO_BUDGET_ROLES) & Q(budget=None)),
    )
    link = link_to("roster", course)
    if not counts["students"]:
        words = _("No student is on the roster: bring in the list.")
        yield Check(_("People"), State.MISSING, words, link_to("roster_import", course))
    else:
        words = _("%(students)d students and %(staff)d staff are on the roster.") % counts
        yield Check(_("People"), State.GOOD, words, link)
    if counts["students"] and counts["poor"]:
        words = _("%(poor)d people have no budget, so they cannot launch. Say what each person gets.") % counts
        yield Check(_("Budgets of people"), State.MISSING, words, link_to("setup_money", course))


def _money(course: Course) -> Iterator[Check]:
    link = link_to("setup_money", course)
    root = Budget.objects.filter(course=course, level=Level.COURSE).first()
    if root is None or not root.amount_usd:
        yield Check(_("Money"), State.MISSING, _("The course has no budget: nothing can be launched."), link)
        return
    promised = Budget.objects.filter(course=course, level=Level.PERSON).aggregate(usd=Sum("amount_usd"))["usd"] or ZERO
    words = _("The course has $%(usd)s.") % {"usd": f"{root.amount_usd:,.0f}"}
    if promised > root.amount_usd * 2:
        more = _("People together are promised $%(usd)s: who comes first is served first, then the course's cap holds.")
        yield Check(_("Money"), State.LOOK, f"{words} {more % {'usd': f'{promised:,.0f}'}}", link)
    else:
        yield Check(_("Money"), State.GOOD, words, link)


def _presets(course: Course) -> Iterator[Check]:
    link = link_to("presets", course)
    offered = [preset for preset in course.presets.all() if preset.enabled]
    stuck = [preset.name for preset in offered if not affordable(kind_of(preset))]
    no_image = [p.name for p in offered if not (p.image_id or p.images or p.image_parameters)]
    if not offered:
        yield Check(_("Presets"), State.MISSING, _("No preset is offered: students have nothing to launch."), link)
    elif stuck or no_image:
        words = _("No type has a price below the ceiling, or there is no image: %(names)s.")
        yield Check(_("Presets"), State.MISSING, words % {"names": ", ".join([*stuck, *no_image])}, link)
    else:
        yield Check(_("Presets"), State.GOOD, _("%(n)d presets are offered.") % {"n": len(offered)}, link)


def _aws() -> Check:
    needed = ("AWS_SUBNETS", "AWS_SECURITY_GROUP", "AWS_SCHEDULER_ROLE_ARN")
    missing = [name for name in needed if not getattr(settings, name)]
    if not missing:
        return Check(_("AWS account"), State.GOOD, _("Network, security group and AWS’s own stop timer are set."))
    words = _("Whoever runs this portal sets %(names)s.")
    names = ", ".join(f"LAMPLIGHTER_{name}" for name in missing)
    return Check(_("AWS account"), State.MISSING, words % {"names": names})


def _quota_and_image(course: Course, now: datetime) -> Iterator[Check]:
    """As AWS answered when the presets were last checked."""
    link = link_to("preflight", course)
    found = list(PresetCheck.objects.filter(preset__course=course, preset__enabled=True).select_related("preset"))
    name = _("Quota and image at AWS")
    bad = [check for check in found if check.verdict != PresetCheck.Verdict.READY]
    if not found:
        words = _("AWS was not asked yet. Ask for vCPU quota weeks ahead, and try one launch of each preset.")
        yield Check(name, State.LOOK, words, link)
    elif not bad:
        yield Check(name, State.GOOD, _("AWS has what the presets need."), link)
    for check in bad:
        unknown = check.verdict == PresetCheck.Verdict.UNKNOWN
        yield Check(name, State.LOOK if unknown else State.MISSING, f"{check.preset.name}: {check.words}", link)


def _codes(course: Course) -> Check:
    codes = CreditCode.objects.filter(batch__course=course)
    n = codes.filter(status=CreditCode.Status.AVAILABLE).count()
    students = course.enrollments.filter(role=Role.STUDENT, status=EnrollmentStatus.ACTIVE).count()
    link = link_to("credits_desk", course)
    if not codes.exists():
        words = _("There are no AWS codes. That is fine where the course’s own account pays for everything.")
        return Check(_("Credit codes"), State.LOOK, words, link_to("credits_import", course))
    state = State.GOOD if n >= students else State.LOOK
    words = _("%(n)d codes are free, for %(students)d students.") % {"n": n, "students": students}
    return Check(_("Credit codes"), state, words, link)


def _mail() -> Check:
    if "localhost" in settings.DEFAULT_FROM_EMAIL and not settings.DEMO:
        words = _("Mails come from “localhost” and will be lost: set LAMPLIGHTER_MAIL_FROM.")
        return Check(_("Mail"), State.MISSING, words)
    return Check(_("Mail"), State.GOOD, _("Warnings are sent from %(who)s.") % {"who": settings.DEFAULT_FROM_EMAIL})


def _guard(now: datetime) -> Check:
    late = [guard.name for guard in guards(now, settings.SWEEP_SECONDS) if guard.late]
    if not late:
        return Check(_("Guard"), State.GOOD, _("All sweeps run: idle machines are stopped."))
    words = _("These sweeps do not run: %(names)s. Look at worker and beat.")
    return Check(_("Guard"), State.MISSING, words % {"names": ", ".join(late)})


def _days(course: Course, now: datetime) -> Check:
    link = link_to("setup_dates", course)
    today = now.date()
    if course.ends_on < today:
        return Check(_("Dates"), State.MISSING, _("The course is over: nothing can be launched any more."), link)
    words = _("From %(first)s to %(last)s, %(zone)s.")
    values = {
        "first": date_format(course.starts_on, "DATE_FORMAT"),
        "last": date_format(course.ends_on, "DATE_FORMAT"),
        "zone": course.timezone,
    }
    soon = course.starts_on - today < timedelta(days=14)
    more = _(" New GPU quota takes AWS days.") if soon and course.starts_on > today else ""
    return Check(_("Dates"), State.GOOD, words % values + more, link)


def person_default_usd(course_usd: Decimal, students: int) -> Decimal:
    """An even share, in whole dollars; what the seed course had when nobody is known yet."""
    return (course_usd / students).quantize(Decimal(1)) if students else Decimal(300)
