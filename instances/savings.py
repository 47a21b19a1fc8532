"""What the guards saved: a machine that was stopped unused would have run on until its owner came back, and no longer.

A stop whose owner has not come back yet counts for nothing so far. Written where the stop is decided, counted by a
sweep, summed per person, so that no page reads history.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import models, transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Sum

from courses.models import Course, Enrollment
from instances.launch_rules import usd_for
from instances.models import Instance, InstanceEvent, Run
from instances.states import State
from spend.models import Budget, Level

ZERO = Decimal(0)


class GuardStop(models.Model):
    """One stop that the portal decided by itself. `back_at`: when the owner next started, or deleted, a machine."""

    instance = models.ForeignKey(Instance, models.CASCADE, related_name="guard_stops")
    owner = models.ForeignKey(Enrollment, models.CASCADE, related_name="+", db_index=False)
    course = models.ForeignKey(Course, models.CASCADE, related_name="+", db_index=False)
    at = models.DateTimeField()
    usd_hour = models.DecimalField(max_digits=10, decimal_places=6)
    back_at = models.DateTimeField(null=True, blank=True)
    saved_usd = models.DecimalField(max_digits=14, decimal_places=6, null=True, blank=True)

    class Meta:
        app_label = "instances"
        ordering = ("at", "pk")
        constraints = (models.UniqueConstraint(fields=("instance", "at"), name="one_guard_stop_at_a_moment"),)
        indexes = (models.Index(fields=("course",), condition=Q(back_at=None), name="guard_stops_open"),)

    def __str__(self) -> str:
        return f"{self.instance_id} at {self.at}"


class GuardSaving(models.Model):
    """One person's counted stops, summed. `saved_usd` is at the machines' own prices, whatever the budget had left."""

    owner = models.OneToOneField(Enrollment, models.CASCADE, related_name="guard_saving")
    course = models.ForeignKey(Course, models.CASCADE, related_name="+")
    stops = models.PositiveIntegerField(default=0)
    seconds = models.PositiveBigIntegerField(default=0)
    saved_usd = models.DecimalField(max_digits=14, decimal_places=6, default=ZERO)

    class Meta:
        app_label = "instances"

    def __str__(self) -> str:
        return f"{self.owner_id}: {self.saved_usd} USD"


@dataclass(frozen=True, slots=True)
class Saved:
    """Of a whole course. `payable_usd`: what the budgets could still have paid of it; the caps stop the rest."""

    stops: int
    hours: float
    usd: Decimal
    payable_usd: Decimal
    open_stops: int  # whose owners have not come back yet


def note_guard_stop(instance: Instance, now: datetime) -> None:
    """In the transaction of the stop."""
    GuardStop.objects.create(
        instance=instance, owner_id=instance.owner_id, course_id=instance.course_id, at=now, usd_hour=instance.usd_hour
    )


def open_stops() -> Iterator[GuardStop]:
    """Stops that are not counted yet and whose owner has come back since; `found_back_at` says when."""
    for stop in _with_return(GuardStop.objects.filter(back_at=None)):
        if stop.found_back_at:  # type: ignore[attr-defined]
            yield stop


def count(stop: GuardStop) -> None:
    """Once, whoever else counts at the same time."""
    back_at: datetime = stop.found_back_at  # type: ignore[attr-defined]
    seconds = int((back_at - stop.at).total_seconds())
    usd = usd_for(stop.usd_hour, seconds)
    with transaction.atomic():
        if not GuardStop.objects.filter(pk=stop.pk, back_at=None).update(back_at=back_at, saved_usd=usd):
            return
        mine = {"owner_id": stop.owner_id, "course_id": stop.course_id}
        GuardSaving.objects.get_or_create(owner_id=stop.owner_id, defaults=mine)
        GuardSaving.objects.filter(owner_id=stop.owner_id).update(
            stops=F("stops") + 1, seconds=F("seconds") + seconds, saved_usd=F("saved_usd") + usd
        )


def saved_in(course: Course) -> Saved:
    """Two queries, over one row per person."""
    people = GuardSaving.objects.filter(course=course)
    left = Budget.objects.filter(enrollment=OuterRef("owner"), level=Level.PERSON)
    rows = people.annotate(
        left=Subquery(left.values(usd=F("amount_usd") - F("spent_usd"))[:1]),
    ).values_list("stops", "seconds", "saved_usd", "left")
    found = list(rows)
    return Saved(
        stops=sum(stops for stops, *_rest in found),
        hours=sum(seconds for _stops, seconds, *_rest in found) / 3600,
        usd=sum((usd for _s, _t, usd, _left in found), ZERO),
        payable_usd=sum((max(ZERO, min(usd, left or ZERO)) for _s, _t, usd, left in found), ZERO),
        open_stops=GuardStop.objects.filter(course=course, back_at=None).count(),
    )


def saved_for(owner: Enrollment) -> Decimal:
    """USD at the machines' own prices. One query."""
    return GuardSaving.objects.filter(owner=owner).aggregate(usd=Sum("saved_usd"))["usd"] or ZERO


def _with_return(stops: QuerySet[GuardStop]) -> Iterator[GuardStop]:
    later_runs = Run.objects.filter(instance__owner=OuterRef("owner"), started_at__gt=OuterRef("at"))
    deleted = InstanceEvent.objects.filter(
        instance=OuterRef("instance"), new_state=State.TERMINATING, who__isnull=False, at__gt=OuterRef("at")
    )
    found = stops.annotate(
        next_run=Subquery(later_runs.order_by("started_at").values("started_at")[:1]),
        deleted=Subquery(deleted.order_by("at").values("at")[:1]),
    )
    for stop in found:
        moments = [m for m in (stop.next_run, stop.deleted) if m]
        stop.found_back_at = min(moments, default=None)  # type: ignore[attr-defined]
        yield stop
