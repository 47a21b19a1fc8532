"""Can the portal hear its machines at all? When nobody's reports arrive, the fault is its own: a certificate that ran
out, a report process that hangs, a wrong route. Then the silence of a machine tells nothing about it, and nobody is
warned or stopped for it; leases, the machines' own watch and AWS's schedules still bound what it costs.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Max
from django.utils.translation import gettext as _

from courses.models import Course
from instances.idle import TWO_REPORTS
from instances.models import Instance, InstanceEvent, SweepBeat
from instances.moves import tell
from instances.notices import staff_address
from instances.states import State

PEOPLE = 2  # a person alone must not put their machines beyond the rule by silencing them: with two machines, too
SILENT = timedelta(seconds=TWO_REPORTS)
TELL = timedelta(minutes=5)  # a deployment is over by then
_BEAT = "unheard"  # when a round last found that nobody can be heard


@dataclass(frozen=True, slots=True)
class Hearing:
    """Of all machines of the installation that run and have reported in this run."""

    people: int
    newest_at: datetime | None

    def silent_for(self, now: datetime) -> timedelta:
        """Nothing as long as the silence may be that of one person's machines."""
        return now - self.newest_at if self.newest_at and self.people >= PEOPLE else timedelta(0)

    def age_seconds(self, now: datetime) -> float | None:
        return round((now - self.newest_at).total_seconds(), 1) if self.newest_at else None

    def is_deaf(self, now: datetime) -> bool:
        return self.silent_for(now) > SILENT

    def is_trouble(self, now: datetime) -> bool:
        return self.silent_for(now) > TELL


def hearing() -> Hearing:
    """One query. A machine that never reported counts for nothing: its image may have no agent."""
    reporting = Instance.objects.filter(state=State.RUNNING, last_report_at__isnull=False)
    found = reporting.aggregate(people=Count("owner__user", distinct=True), newest=Max("last_report_at"))
    return Hearing(found["people"], found["newest"])


def listen(now: datetime) -> datetime | None:
    """For each round: until when nobody could be heard, if ever. Staff are told once of each time."""
    found = hearing()
    if not found.is_deaf(now):
        return unheard_until(now)
    SweepBeat.objects.update_or_create(name=_BEAT, defaults={"finished_at": now, "seconds": 0.0})
    if found.newest_at and found.is_trouble(now):
        _tell_staff(found.newest_at, now)
    return now


def unheard(now: datetime) -> datetime | None:
    """As `listen`, for others than the idle round: writes nothing."""
    return now if hearing().is_deaf(now) else unheard_until(now)


def unheard_until(now: datetime) -> datetime | None:
    """As the rounds found it. Every machine has its whole time to be heard again after that."""
    beats = SweepBeat.objects.filter(name=_BEAT, finished_at__lte=now)  # a clock set back must not excuse silence
    return beats.values_list("finished_at", flat=True).first()


def words(found: Hearing, now: datetime) -> str:
    said = _("No machine has reported for %(n)s min, although machines of %(people)s people run.")
    return said % {"n": int(found.silent_for(now).total_seconds() // 60), "people": found.people}


def advice() -> str:
    return _(
        "Look at the way that reports take: the certificate, the proxy’s rule for /agent/, the process behind it. "
        "Nobody is stopped for silence meanwhile; each machine stops at the end of what is paid for."
    )


@transaction.atomic
def _tell_staff(since: datetime, now: datetime) -> None:
    """One event in each course where machines run; one mail to each address."""
    SweepBeat.objects.select_for_update().get(name=_BEAT)  # two rounds at once tell it once
    if InstanceEvent.objects.filter(kind=InstanceEvent.Kind.TROUBLE, at__gt=since, facts__unheard=True).exists():
        return
    reason, mailed = f"{words(hearing(), now)} {advice()}", {""}
    courses = Course.objects.filter(instances__state=State.RUNNING).distinct().order_by("pk")
    for course in courses:
        to = staff_address(course)
        machine = Instance.objects.filter(course=course, state=State.RUNNING).order_by("pk").first()
        if machine is not None:
            mail_to = "" if to in mailed else to
            tell(machine, InstanceEvent.Kind.TROUBLE, reason=reason, now=now, facts={"unheard": True}, mail_to=mail_to)
            mailed.add(to)
