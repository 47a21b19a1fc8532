"""What proposed rules would mean for the machines that are on right now. Changes nothing."""

from dataclasses import dataclass
from datetime import datetime

from courses.models import Course
from instances.facts import facts_of, limits_for
from instances.idle import Verdict, decide
from instances.models import Instance
from instances.policy_rules import Rules, in_force
from instances.states import LIVE, State
from instances.sweeps.idling import judged


@dataclass(frozen=True, slots=True)
class Prospect:
    """Machines that are on, and how many of them a different limit would warn at once, or no longer."""

    on: int
    newly_warned: int
    no_longer: int


def prospect(course: Course, rules: Rules, now: datetime) -> Prospect:
    """If the rules held for all that runs. A fixed number of queries."""
    limits = in_force(rules, now, course.timezone).limits
    before = after = both = 0
    for machine in judged(Instance.objects.filter(course=course, state=State.RUNNING)):
        facts = facts_of(machine, machine.running_since)  # type: ignore[attr-defined]
        old = decide(facts, limits_for(machine, now), now.timestamp()).verdict is not Verdict.KEEP
        new = decide(facts, limits, now.timestamp()).verdict is not Verdict.KEEP
        before, after, both = before + old, after + new, both + (old and new)
    on = Instance.objects.filter(course=course, state__in=LIVE).count()
    return Prospect(on, newly_warned=after - both, no_longer=before - both)
