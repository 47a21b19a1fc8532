"""What a preset is and costs, before the click: for the preset cards and the confirm page. Holds and books nothing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from django.conf import settings
from django.db.models import QuerySet

from cloud.prices import TypeFacts, facts_of
from courses.models import Enrollment
from instances import approvals, books
from instances.halted import open_halts
from instances.halted import words as halt_words
from instances.launch_rules import Refusal, affordable, course_end, refusal, usd_for
from instances.models import Instance, Preset
from instances.pricing import prices_of
from instances.refusals import words
from instances.requesting import COUNTED, NO_MACHINES, Count, at_once, judged_person, kind_of
from instances.states import LIVE

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Quote:
    """One preset for one person. Amounts in USD; `refusal` is empty when it may be launched, money aside."""

    preset: Preset
    facts: TypeFacts | None  # of the type that is tried first
    usd_hour: Decimal  # machine and address, at the dearest type that may be used
    may_be_less: bool  # a cheaper type may come up
    machine_usd_hour: Decimal
    address_usd_hour: Decimal
    lease: timedelta
    margin: timedelta
    run_usd: Decimal  # held for the first session
    disk_usd: Decimal  # held to the end of the course
    refusal: str
    needs_approval: bool = False  # that is all that stands in the way: it can be asked for

    @property
    def total_usd(self) -> Decimal:
        """What a launch sets aside."""
        return self.run_usd + self.disk_usd

    @property
    def shown_total_usd(self) -> Decimal:
        """The two lines as they are written, in cents: a bill that does not add up is not believed."""
        return sum((part.quantize(CENT, ROUND_HALF_UP) for part in (self.run_usd, self.disk_usd)), Decimal(0))

    def hours(self, left_usd: Decimal) -> int:
        """Whole hours that `left_usd` pays for, the disk taken off first."""
        return int(max(Decimal(0), left_usd - self.disk_usd) / self.usd_hour) if self.usd_hour else 0


def quotes_for(enrollment: Enrollment, presets: Iterable[Preset], now: datetime) -> list[Quote]:
    """Four queries, however many presets; two more where one counts by team or needs to be allowed."""
    presets = list(presets)
    live = Instance.objects.filter(state__in=LIVE)
    own = _by_preset(live.filter(owner=enrollment))
    prices = prices_of(name for preset in presets for name in preset.instance_types)
    halted = open_halts(enrollment.course).first()
    why = halt_words(halted) if halted else ""
    beside = _Beside(own, _of_team(enrollment, presets), _allowed(enrollment, presets, now), prices, why)
    return [_quote(enrollment, preset, beside, now) for preset in presets]


@dataclass(frozen=True, slots=True)
class _Beside:
    """What was asked for all presets at once, by preset."""

    live: Mapping[int, Count]
    of_team: Mapping[int, Count]
    allowed: Collection[int]
    prices: Mapping[str, Decimal | None]
    halted: str  # who has stopped everything and why; empty when nobody has


def _of_team(enrollment: Enrollment, presets: Sequence[Preset]) -> dict[int, Count]:
    if not enrollment.team_id or not any(preset.per_team for preset in presets):
        return {}
    live = Instance.objects.filter(state__in=LIVE, owner__team=enrollment.team_id)
    return _by_preset(live)


def _by_preset(machines: QuerySet[Instance]) -> dict[int, Count]:
    found = machines.values_list("preset").annotate(**COUNTED).order_by()
    return {preset: Count(*counted) for preset, *counted in found}


def _allowed(enrollment: Enrollment, presets: Sequence[Preset], now: datetime) -> set[int]:
    asked = [preset for preset in presets if preset.needs_approval]
    return set(approvals.usable_of(enrollment, asked, now).values_list("preset", flat=True)) if asked else set()


def start_usd(machine: Instance) -> Decimal:
    """What starting this stopped machine sets aside, in USD."""
    held_seconds = max(machine.lease_seconds + settings.STOP_MARGIN_SECONDS, books.MINIMUM_SECONDS)
    return usd_for(machine.usd_hour, held_seconds)


def _quote(enrollment: Enrollment, preset: Preset, beside: _Beside, now: datetime) -> Quote:
    kind = kind_of(preset, prices=beside.prices)
    person = judged_person(
        enrollment,
        preset,
        beside.live.get(preset.pk, NO_MACHINES),
        of_team=beside.of_team.get(preset.pk, NO_MACHINES),
        allowed=preset.pk in beside.allowed,
    )
    dates = books.dates_for(enrollment, enrollment.course)
    why = refusal(person, dates, kind, now)
    wanted = affordable(kind)
    machine_usd = max((c.usd_hour for c in wanted), default=Decimal(0))
    usd_hour = machine_usd + books.address_usd_hour()
    held_seconds = max(preset.lease_seconds + settings.STOP_MARGIN_SECONDS, books.MINIMUM_SECONDS)
    return Quote(
        preset=preset,
        facts=facts_of(wanted[0].instance_type) if wanted else None,
        usd_hour=usd_hour,
        may_be_less=any(c.usd_hour < machine_usd for c in wanted),
        machine_usd_hour=machine_usd,
        address_usd_hour=books.address_usd_hour(),
        lease=timedelta(seconds=preset.lease_seconds),
        margin=books.stop_margin(),
        run_usd=usd_for(usd_hour, held_seconds),
        disk_usd=usd_for(books.disk_usd_hour(preset.disk_gb), (course_end(dates) - now).total_seconds()),
        refusal=beside.halted or (words(why, preset, per_person=at_once(enrollment, preset)) if why else ""),
        needs_approval=why is Refusal.NEEDS_APPROVAL and not beside.halted,
    )
