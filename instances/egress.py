"""Data that machines sent, as their agents count it, and what it may cost at most. An estimate: nothing is held or
charged for it, because an agent cannot tell what stayed inside AWS, and a student can make it say anything. What AWS
really charges is booked with its bill, as a correction (`Cause.TRANSFER`)."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Sum
from django.db.models.functions import TruncDate

from courses.models import Course, Enrollment
from instances.models import Run

GB = Decimal(10**9)  # AWS's GB of data transfer
MOST_BYTES = 2**63 - 1
COUNTED_AGAIN = timedelta(days=14)  # a run that began before and still sends is counted no more


class DataOut(models.Model):
    """What the runs that began on a UTC day have sent: summed by a round, so that no page grows with runs."""

    course = models.ForeignKey(Course, models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    sent_bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        app_label = "instances"
        constraints = (models.UniqueConstraint(fields=("course", "day"), name="one_data_out_per_day"),)

    def __str__(self) -> str:
        return f"{self.course_id} {self.day}: {self.sent_bytes} B"


@dataclass(frozen=True, slots=True)
class Estimate:
    """`most_usd`: if all of it went to the internet, beyond what AWS gives free to an account each month."""

    sent_bytes: int

    @property
    def gb(self) -> Decimal:
        return self.sent_bytes / GB

    @property
    def usd_gb(self) -> Decimal:
        return Decimal(settings.EGRESS_USD_GB)

    @property
    def most_usd(self) -> Decimal:
        return self.gb * self.usd_gb


def note_sent(instance_id: int, run_number: int, sent_bytes: int) -> None:
    """In the transaction of the report that told of it."""
    if sent_bytes > 0:
        of_run = Run.objects.filter(instance_id=instance_id, number=run_number)
        of_run.update(sent_bytes=models.F("sent_bytes") + sent_bytes)


def count_data_out(now: datetime, window: timedelta = COUNTED_AGAIN) -> int:
    """Days of courses that were counted. Said twice, it counts the same."""
    first = datetime.combine((now - window).astimezone(UTC).date(), time(), UTC)
    runs = Run.objects.filter(started_at__gte=first, sent_bytes__gt=0).order_by()
    days = runs.annotate(day=TruncDate("started_at", tzinfo=UTC)).values_list("instance__course", "day")
    summed = days.annotate(Sum("sent_bytes"))
    # One course's number that no row can hold must not keep all others' from being written.
    rows = [DataOut(course_id=pk, day=day, sent_bytes=min(sent, MOST_BYTES)) for pk, day, sent in summed]
    DataOut.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=("course", "day"), update_fields=("sent_bytes",), batch_size=500
    )
    return len(rows)


def data_out_in(course: Course, first: date, last: date) -> Estimate:
    days = DataOut.objects.filter(course=course, day__range=(first, last))
    return Estimate(days.aggregate(Sum("sent_bytes"))["sent_bytes__sum"] or 0)


def data_out_of(enrollment: Enrollment) -> Estimate:
    """One person's own, over all their runs."""
    runs = Run.objects.filter(instance__owner=enrollment)
    return Estimate(runs.aggregate(Sum("sent_bytes"))["sent_bytes__sum"] or 0)
