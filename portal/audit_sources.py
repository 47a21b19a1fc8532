"""Which tables the audit reads, and what of a row an entry keeps. Reads only what is never edited in that row.

A new table is one more `Source`. What a person wrote goes into `why`, which is forgotten one day; `facts` hold amounts
as text (USD), states and ids.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Model, Q, QuerySet

from courses.audit import Kind
from courses.events import CourseEvent
from courses.models import AuditNote
from credits.models import BatchEvent, CodeEvent, RequestDecision
from instances.approval_records import LaunchApproval
from instances.drill_records import FireDrill
from instances.halts import Halt
from instances.limits import Override
from instances.models import InstanceEvent, PolicyEdit
from instances.offer_records import QuotaAsk
from spend.models import BudgetRelease, Correction, MoneyMove, Reconciliation


@dataclass(frozen=True, slots=True)
class Reading:
    """One row as the audit keeps it."""

    kind: Kind
    what: str
    at: datetime
    who_id: int | None = None
    course_id: int | None = None
    about_id: int | None = None
    why: str = ""
    subject: str = ""
    address: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    name: str
    rows: Callable[[], QuerySet[Any]]
    read: Callable[[Any], Reading]
    # False: a moment that comes to an old row (a switch put back). Such tables are small and read whole.
    grows: bool = True


def _note(row: AuditNote) -> Reading:
    return Reading(
        Kind(row.kind),
        row.what,
        row.at,
        row.who_id,
        row.course_id,
        row.about_id,
        row.why,
        row.subject,
        row.address,
        row.facts,
    )


def _move(row: MoneyMove) -> Reading:
    facts = {"usd": str(row.amount_usd), "budget": row.budget_id, "key": row.key}
    about = row.budget.enrollment_id
    return Reading(Kind.MONEY, row.kind, row.at, row.who_id, row.budget.course_id, about, row.why, facts=facts)


def _correction(row: Correction) -> Reading:
    facts = {"usd": str(row.amount_usd), "key": row.key, "cause": row.cause}
    return Reading(Kind.MONEY, "correction", row.at, row.who_id, row.course_id, row.enrollment_id, row.why, facts=facts)


def _release(row: BudgetRelease) -> Reading:
    facts = {"usd": str(row.amount_usd), "budget": row.budget_id, "on": row.release_at.isoformat()}
    course, about = row.budget.course_id, row.budget.enrollment_id
    return Reading(Kind.DECISION, "release_planned", row.created_at, row.who_id, course, about, row.why, facts=facts)


def _release_cancelled(row: BudgetRelease) -> Reading:
    assert row.cancelled_at  # noqa: S101 - the query asks for it
    facts = {"usd": str(row.amount_usd), "budget": row.budget_id}
    course, about = row.budget.course_id, row.budget.enrollment_id
    return Reading(
        Kind.DECISION, "release_cancelled", row.cancelled_at, row.cancelled_by_id, course, about, facts=facts
    )


def _reconciliation(row: Reconciliation) -> Reading:
    facts = {"source": row.source, "first": row.first.isoformat(), "last": row.last.isoformat()}
    return Reading(Kind.DECISION, "reconciled", row.at, row.who_id, facts=facts)


def _code(row: CodeEvent) -> Reading:
    kind = Kind.REVEAL if row.verb == CodeEvent.Verb.REVEALED else Kind.CODE
    facts = {"code": row.code_id, "batch": row.code.batch_id}
    # Whose code it is may change, and is no part of this event: the page looks it up.
    return Reading(kind, row.verb, row.at, row.who_id, row.code.batch.course_id, None, row.why, "", row.address, facts)


def _batch(row: BatchEvent) -> Reading:
    facts = {"batch": row.batch_id, "now": row.facts}
    return Reading(
        Kind.DECISION, f"batch_{row.verb}", row.at, row.who_id, row.batch.course_id, None, row.why, facts=facts
    )


def _decision(row: RequestDecision) -> Reading:
    asked = row.request
    facts = {"request": asked.pk, "usd": str(row.amount_usd or asked.amount_usd), "serve": row.serve}
    return Reading(
        Kind.DECISION,
        f"request_{row.verb}",
        row.at,
        row.who_id,
        asked.course_id,
        asked.enrollment_id,
        row.why,
        facts=facts,
    )


def _machine(row: InstanceEvent) -> Reading:
    machine = row.instance
    facts = {"machine": machine.slug, "from": row.old_state, "to": row.new_state}
    return Reading(
        Kind.MACHINE,
        f"machine_{row.kind}",
        row.at,
        row.who_id,
        machine.course_id,
        machine.owner_id,
        row.reason,
        facts=facts,
    )


def _halt(row: Halt) -> Reading:
    return Reading(
        Kind.DECISION, "halted", row.at, row.who_id, row.course_id, None, row.why, facts={"reach": row.reach}
    )


def _halt_lifted(row: Halt) -> Reading:
    assert row.lifted_at  # noqa: S101 - the query asks for it
    facts = {"restart": row.restart}
    return Reading(Kind.DECISION, "halt_lifted", row.lifted_at, row.lifted_by_id, row.course_id, facts=facts)


def _drill(row: FireDrill) -> Reading:
    facts = {"drill": row.pk, "machine": row.instance.slug, "usd": str(row.most_usd)}
    return Reading(Kind.DECISION, "drill_begun", row.at, row.who_id, row.course_id, row.instance.owner_id, facts=facts)


def _drill_called_off(row: FireDrill) -> Reading:
    assert row.called_off_at  # noqa: S101 - the query asks for it
    who, facts = row.called_off_by_id, {"drill": row.pk}
    return Reading(Kind.DECISION, "drill_called_off", row.called_off_at, who, row.course_id, facts=facts)


def _drill_over(row: FireDrill) -> Reading:
    assert row.ended_at  # noqa: S101 - the query asks for it
    told = {one.guard: one.outcome for one in row.rounds.all()}
    facts = {"drill": row.pk, "rounds": told}
    return Reading(Kind.DECISION, "drill_over", row.ended_at, None, row.course_id, None, row.trouble, facts=facts)


def _course(row: CourseEvent) -> Reading:
    """What was changed, not to what: names and addresses stay in the row itself."""
    facts = {"event": row.pk, "changed": sorted(row.facts), "team": row.team_id}
    about = row.enrollment_id
    return Reading(Kind.DECISION, f"course_{row.kind}", row.at, row.who_id, row.course_id, about, row.why, facts=facts)


def _policy(row: PolicyEdit) -> Reading:
    facts = {"before": row.before, "after": row.after, "to_running": row.to_running, "kept_by": row.kept_by}
    return Reading(Kind.DECISION, "policy_changed", row.at, row.who_id, row.course_id, None, row.why, facts=facts)


def _override(row: Override) -> Reading:
    facts = {"before": row.before, "after": row.after}
    course, about = row.enrollment.course_id, row.enrollment_id
    return Reading(Kind.OVERRIDE, f"override_{row.kind}", row.at, row.who_id, course, about, row.why, facts=facts)


def _approval(row: LaunchApproval) -> Reading:
    assert row.decided_at  # noqa: S101 - the query asks for it
    what = "launch_denied" if row.status == LaunchApproval.Status.DENIED else "launch_allowed"
    course, facts = row.enrollment.course_id, {"preset": row.preset_id}
    return Reading(
        Kind.DECISION, what, row.decided_at, row.decided_by_id, course, row.enrollment_id, row.note, facts=facts
    )


def _quota(row: QuotaAsk) -> Reading:
    facts = {"region": row.region, "code": row.code, "had": row.had, "wanted": row.wanted}
    return Reading(Kind.DECISION, "quota_asked", row.at, row.who_id, row.course_id, facts=facts)


def _rows(model: type[Model], *joins: str, where: Q | None = None) -> Callable[[], QuerySet[Any]]:
    def rows() -> QuerySet[Any]:
        found = model._default_manager.filter(where or Q())
        return found.select_related(*joins) if joins else found

    return rows


SOURCES: Sequence[Source] = (
    Source("note", _rows(AuditNote), _note),
    Source("money", _rows(MoneyMove, "budget"), _move),
    Source("correction", _rows(Correction), _correction),
    Source("release", _rows(BudgetRelease, "budget"), _release),
    Source(
        "release_cancelled",
        _rows(BudgetRelease, "budget", where=Q(cancelled_at__isnull=False)),
        _release_cancelled,
        grows=False,
    ),
    # Those of the daily round move nothing; its corrections are rows of their own.
    Source("reconciliation", _rows(Reconciliation, where=Q(who__isnull=False)), _reconciliation),
    Source("code", _rows(CodeEvent, "code__batch"), _code),
    Source("batch", _rows(BatchEvent, "batch"), _batch),
    Source("request", _rows(RequestDecision, "request"), _decision),
    # What the portal did by itself stands in the machine's own story.
    Source("machine", _rows(InstanceEvent, "instance", where=Q(who__isnull=False)), _machine),
    Source("course", _rows(CourseEvent, where=~Q(kind=CourseEvent.Kind.OVERRIDE)), _course),
    Source("override", _rows(Override, "enrollment"), _override),
    Source("policy", _rows(PolicyEdit), _policy),
    Source("approval", _rows(LaunchApproval, "enrollment", where=Q(decided_by__isnull=False)), _approval, grows=False),
    Source("quota", _rows(QuotaAsk, where=Q(who__isnull=False)), _quota),
    Source("drill", _rows(FireDrill, "instance"), _drill),
    Source(
        "drill_called_off",
        _rows(FireDrill, where=Q(called_off_at__isnull=False)),
        _drill_called_off,
        grows=False,
    ),
    Source("drill_over", _rows(FireDrill, where=Q(ended_at__isnull=False)), _drill_over, grows=False),
    Source("halt", _rows(Halt), _halt),
    Source("halt_lifted", _rows(Halt, where=Q(lifted_at__isnull=False)), _halt_lifted, grows=False),
)
