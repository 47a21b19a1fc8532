"""The provider's figures come in, from Cost Explorer or an export, and are held against our own count. Moves no money.

Repeating any of it changes nothing: what is told of a day replaces what was told of it before.
"""

import logging
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

from django.db import transaction
from django.db.models import BigIntegerField, F, Max, Sum
from django.db.models.functions import Cast, Round, TruncDate
from django.utils.translation import gettext as _

from cloud.base import CloudError
from cloud.costs import Costs, DayTotal, UsageCost
from courses.models import Course, Enrollment, User
from spend.causes import Compared, cause_of, is_final
from spend.cur import NotAnExport, Statement, Sums, cut_tag, read_export
from spend.metering import rounded
from spend.models import ZERO, Charge, Correction, Drift, Hold, ProviderCost, ProviderDay, Reconciliation, Source

logger = logging.getLogger(__name__)
LOOK_BACK = 14  # days: the provider corrects its own figures for so long at most, but for the month's end
Key = tuple[date, str, str]  # UTC day, machine, kind


@dataclass(frozen=True, slots=True)
class _Ours:
    usd: Decimal = ZERO
    seconds: int = 0


def reconcile_explorer(costs: Costs, *, now: datetime, who: User | None = None) -> Reconciliation:
    """Ask Cost Explorer about the last LOOK_BACK days; two questions. What goes wrong is told on the row alone."""
    last = now.astimezone(UTC).date()
    first = last - timedelta(days=LOOK_BACK)
    look = Reconciliation(source=Source.COST_EXPLORER, first=first, last=last, at=now, who=who)
    try:
        told, totals = costs.usage(first, last), costs.totals(first, last)
        return _take_in(look, _sums(told, totals), lines=len(told))
    except CloudError as error:
        return _failed(look, str(error))
    except Exception as error:
        return unforeseen(look, error)


def _sums(told: Iterable[UsageCost], totals: Iterable[DayTotal]) -> dict[Key, Sums]:
    sums: dict[Key, Sums] = defaultdict(Sums)
    for one in told:
        found = sums[one.day, cut_tag(one.machine), one.kind]
        found.usage_usd += one.usd
        found.quantity += one.quantity
    for total in totals:  # by day only
        rest = sums[total.day, "", "other"]
        rest.credit_usd, rest.refund_usd, rest.other_usd = total.credit_usd, total.refund_usd, total.other_usd
    return sums


def reconcile_export(paths: Sequence[Path], *, name: str, now: datetime, who: User | None = None) -> Reconciliation:
    """Read all parts of one export. Raises NotAnExport, and then nothing is changed."""
    found: Statement = read_export(paths)
    first, last = found.days
    look = Reconciliation(source=Source.EXPORT, first=first, last=last, at=now, who=who, name=name[:300])
    return _take_in(look, found.by, lines=found.lines)


def reconcile_place(costs: Costs, place: str, *, now: datetime) -> list[Reconciliation]:
    """The exports of this and the last month that AWS puts into S3, file by file through a temporary folder."""
    today = now.astimezone(UTC).date()
    periods = sorted({f"{today:%Y-%m}", f"{today.replace(day=1) - timedelta(days=1):%Y-%m}"})
    return [look for period in periods if (look := _reconcile_period(costs, place, period, now)) is not None]


def _reconcile_period(costs: Costs, place: str, period: str, now: datetime) -> Reconciliation | None:
    day = date.fromisoformat(f"{period}-01")
    look = Reconciliation(source=Source.EXPORT, first=day, last=day, at=now, name=f"{place} {period}"[:300])
    try:
        with tempfile.TemporaryDirectory(prefix="lamplighter-export-") as folder:
            paths = []
            for n, file in enumerate(costs.export_files(place, period)):
                path = Path(folder) / f"{n}-{file.key.rsplit('/', 1)[-1]}"
                costs.fetch(place, file.key, path)
                paths.append(path)
            return reconcile_export(paths, name=look.name, now=now) if paths else None
    except (CloudError, NotAnExport, ValueError) as error:
        return _failed(look, str(error))
    except Exception as error:
        return unforeseen(look, error)


def unforeseen(look: Reconciliation, error: Exception) -> Reconciliation:
    """On a row like all that goes wrong: without one the next beat asks again, at a price, and nobody reads why.

    Of the error its kind alone: what it says may name what other people have in the account.
    """
    logger.error("reconciliation from %s broke off", look.source, exc_info=error)
    said = _("An error of the portal itself (%(kind)s); its log says more.")
    return _failed(look, said % {"kind": type(error).__name__})


def _failed(look: Reconciliation, problem: str) -> Reconciliation:
    """A row of its own: what the look itself has written is rolled back, or stands."""
    logger.warning("reconciliation from %s: %s", look.source, problem)
    return Reconciliation.objects.create(
        source=look.source,
        first=look.first,
        last=look.last,
        at=look.at,
        who=look.who,
        name=look.name,
        problem=problem[:300],
    )


@transaction.atomic
def _take_in(look: Reconciliation, sums: dict[Key, Sums], *, lines: int) -> Reconciliation:
    ProviderCost.objects.filter(source=look.source, day__range=(look.first, look.last)).delete()
    ProviderCost.objects.bulk_create(
        (
            ProviderCost(
                source=look.source,
                day=day,
                machine=machine,
                kind=kind,
                usage_usd=rounded(one.usage_usd),
                quantity=one.quantity.quantize(Decimal("0.000001")),
                credit_usd=rounded(one.credit_usd),
                refund_usd=rounded(one.refund_usd),
                as_of=look.at,
            )
            for (day, machine, kind), one in sums.items()
        ),
        batch_size=1000,
    )
    _keep_days(look)
    for name in ("usage_usd", "credit_usd", "refund_usd", "other_usd"):
        setattr(look, name, rounded(sum((getattr(one, name) for one in sums.values()), ZERO)))
    look.lines = lines
    look.save()
    compare(look)
    return look


def _keep_days(look: Reconciliation) -> None:
    told = {"source": look.source, "day__range": (look.first, look.last)}
    ProviderDay.objects.filter(**told).delete()
    names = ("usage_usd", "credit_usd", "refund_usd")
    sums = ProviderCost.objects.filter(**told).order_by().values_list("day").annotate(*(Sum(name) for name in names))
    ProviderDay.objects.bulk_create(
        ProviderDay(
            source=look.source,
            day=day,
            as_of=look.at,
            **{name: rounded(usd) for name, usd in zip(names, amounts, strict=True)},
        )
        for day, *amounts in sums
    )


# ------------------------------------------------------------------ against our own
def compare(look: Reconciliation) -> None:
    """One `Drift` per day, machine and kind of the days that were looked at, with its cause."""
    span = (look.first, look.last)
    provider = {
        (one.day, one.machine, one.kind): one
        for one in ProviderCost.objects.filter(source=look.source, day__range=span)
    }
    ours, corrected = _ours(span), _corrected(span)
    owners = _owners({machine for _day, machine, _kind in (*provider, *ours)} - {""})
    only = _only_course()
    keys = sorted(provider.keys() | ours.keys() | corrected.keys())
    Drift.objects.filter(source=look.source, day__range=span).delete()
    made = (
        _drift(key, provider.get(key), ours.get(key, _Ours()), corrected.get(key, ZERO), owners.get(key[1]), only, look)
        for key in keys
    )
    Drift.objects.bulk_create((one for one in made if _says_anything(one)), batch_size=1000)


def _drift(
    key: Key,
    told: ProviderCost | None,
    ours: _Ours,
    corrected_usd: Decimal,
    owner: Enrollment | None,
    only: Course | None,
    look: Reconciliation,
) -> Drift:
    day, machine, kind = key
    provider_usd = told.usage_usd if told else ZERO
    return Drift(
        source=look.source,
        day=day,
        machine=machine,
        kind=kind,
        course_id=owner.course_id if owner else (only.pk if only else None),
        enrollment=owner,
        ours_usd=ours.usd,
        corrected_usd=corrected_usd,
        provider_usd=provider_usd,
        cause=cause_of(
            Compared(
                machine=machine,
                is_known=owner is not None,
                kind=kind,
                ours_usd=ours.usd + corrected_usd,
                ours_seconds=ours.seconds,
                provider_usd=provider_usd,
                provider_quantity=told.quantity if told else ZERO,
                age_days=(look.at.astimezone(UTC).date() - day).days,
            )
        ),
        as_of=look.at,
    )


def _says_anything(one: Drift) -> bool:
    return bool(one.ours_usd or one.provider_usd or one.corrected_usd)


def due(look: Reconciliation) -> list[Drift]:
    """What may be booked without a person: final figures of machines that we know. See `causes.is_final`."""
    drifts = Drift.objects.filter(source=look.source, day__range=(look.first, look.last), enrollment__isnull=False)
    today = look.at.astimezone(UTC).date()
    return [
        one
        for one in drifts.select_related("enrollment__course").order_by("day", "machine", "kind")
        if is_final(one.cause, age_days=(today - one.day).days, provider_usd=one.provider_usd)
    ]


def _ours(span: tuple[date, date]) -> dict[Key, _Ours]:
    first, last = (datetime.combine(day, time(), UTC) for day in (span[0], span[1] + timedelta(days=1)))
    micros = Cast(Round(F("amount_usd") * 1_000_000), BigIntegerField())
    rows = Charge.objects.filter(hour__gte=first, hour__lt=last).annotate(day=TruncDate("hour", tzinfo=UTC))
    found: dict[Key, _Ours] = {}
    for key, kind, day, total, seconds in (
        rows.order_by().values_list("key", "kind", "day").annotate(total=Sum(micros), time=Sum("seconds"))
    ):
        machine = _machine_of(key)
        before = found.get((day, machine, kind), _Ours())
        found[day, machine, kind] = _Ours(before.usd + Decimal(total).scaleb(-6), before.seconds + seconds)
    return found


def _machine_of(key: str) -> str:
    """ "machine/<slug>/run/3" → the slug."""
    parts = key.split("/")
    return parts[1] if parts[0] == "machine" and len(parts) > 2 else ""


def _corrected(span: tuple[date, date]) -> dict[Key, Decimal]:
    rows = Correction.objects.filter(day__range=span).order_by()
    sums = rows.values_list("day", "machine", "kind").annotate(Sum("amount_usd"))
    return {(day, machine, kind): rounded(total) for day, machine, kind, total in sums}


def _owners(machines: Iterable[str]) -> dict[str, Enrollment]:
    """Whose machine it is, by its first run and its disk: money was held for them, or at least charged. Asked by whole
    keys, which have an index, and for all machines at once."""
    keys = {f"machine/{machine}/{what}": machine for machine in machines for what in ("run/1", "disk")}
    held = Hold.objects.filter(key__in=keys, budget__enrollment__isnull=False)
    owners = {keys[key]: who for key, who in held.values_list("key", "budget__enrollment")}
    rest = [key for key, machine in keys.items() if machine not in owners]
    charged = Charge.objects.filter(key__in=rest).values_list("key").annotate(Max("enrollment"))
    owners |= {keys[key]: who for key, who in charged}
    people = Enrollment.objects.in_bulk(owners.values())
    return {machine: people[who] for machine, who in owners.items()}


def _only_course() -> Course | None:
    """What nobody's machine cost is the course's, when the account has only one."""
    courses = list(Course.objects.all()[:2])
    return courses[0] if len(courses) == 1 else None
