"""A batch's rule asked with rows: one person judged, everybody counted. The rule itself is `entitlement.py`."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet

from courses.entry import is_over
from courses.models import Course, Enrollment, EnrollmentStatus
from credits import entitlement
from credits.entitlement import Claimant, Refusal, Rule, Terms
from credits.models import CodeBatch, Purpose


def rule_of(batch: CodeBatch) -> Rule:
    """Raises `BadRule`."""
    return entitlement.parse(batch.rule)


def terms_of(batch: CodeBatch) -> Terms:
    return Terms(batch.purpose, batch.opens_at, batch.closes_at, batch.redeem_by, rule_of(batch))


def refusal_of(enrollment: Enrollment, batch: CodeBatch, now: datetime) -> Refusal | None:
    """The whole rule for one person. Says nothing about whether a code is free."""
    if enrollment.course_id != batch.course_id:
        return Refusal.NOT_FOR_YOU
    if is_over(enrollment, now):
        return Refusal.CLOSED
    terms = terms_of(batch)
    return entitlement.refusal(terms, _claimant(enrollment, batch, terms.rule), now)


def waiting_refusal_of(enrollment: Enrollment, batch: CodeBatch) -> Refusal | None:
    """For somebody who queued while the batch was open: closing it since takes no place away."""
    terms = terms_of(batch)
    return entitlement.not_covered(terms, _claimant(enrollment, batch, terms.rule))


def _claimant(enrollment: Enrollment, batch: CodeBatch, rule: Rule) -> Claimant:
    """Team and course are read only where the rule asks for them: most clicks need neither."""
    team = enrollment.team.name if rule.teams and enrollment.team else ""
    zone = ZoneInfo(batch.course.timezone) if rule.enrolled_before else UTC
    return Claimant(
        role=enrollment.role,
        status=enrollment.status,
        section=enrollment.section,
        team=team if enrollment.team_id else None,
        enrolled_on=enrollment.created_at.astimezone(zone).date(),
    )


def covered_people(course: Course, rule: Rule, *, needs_team: bool) -> QuerySet[Enrollment]:
    """The roster lines that the rule is for: exactly those that `entitlement.not_covered` lets pass."""
    statuses = [EnrollmentStatus.ACTIVE] + [EnrollmentStatus.WAITLISTED] * rule.waitlist
    wanted = Q(role__in=rule.roles, status__in=statuses)
    if rule.sections:
        wanted &= Q(section__in=rule.sections)
    if needs_team:
        wanted &= Q(team__isnull=False)
    if rule.teams:
        wanted &= Q(team__name__in=rule.teams)
    if rule.enrolled_before:
        wanted &= Q(created_at__lt=datetime.combine(rule.enrolled_before, time(), ZoneInfo(course.timezone)))
    return Enrollment.objects.filter(wanted, course=course)


def covered(course: Course, purpose: str, rule: Rule) -> int:
    """How many codes the rule entitles to: people, or teams. Prizes and reserve: 0. One query; no batch needed yet."""
    if purpose not in entitlement.CLAIMABLE:
        return 0
    terms = Terms(purpose, None, None, None, rule)
    people = covered_people(course, rule, needs_team=entitlement.needs_team(terms))
    if purpose == Purpose.TEAMS:
        return people.order_by().values("team").distinct().count()
    return people.count()
