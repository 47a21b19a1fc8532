"""Disks and copies are held for to the last day: a later one, of a person or of the course, holds them longer."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from courses.models import Course, Enrollment, User
from instances import books, disk_books
from instances.called_off import UNANSWERED
from instances.disk_rules import Standing
from instances.launch_rules import course_end
from instances.models import DiskSnapshot, Instance
from instances.states import State
from spend.models import Level
from spend.refusals import BudgetRefused, rounded_up
from spend.services import budget_of, hold_together

# There, on the way, or perhaps: of a launch that was called off before AWS answered, a disk may turn up.
_TO_BE = Q(state__in=(State.REQUESTED, State.LAUNCHING)) | UNANSWERED
_DISKS = Q(disk_settled_at=None) & (Q(disk_since__isnull=False) | _TO_BE)
_COPIES = Q(settled_at=None, standing__in=(Standing.WANTED, Standing.PENDING, Standing.KEPT))
_NAMED = 5


def locked_disks(line: Enrollment) -> tuple[list[Instance], list[DiskSnapshot]]:
    """What this person's budget holds to the last day: machines, copies and then money, as everybody locks them."""
    machines = Instance.objects.select_for_update(no_key=True, of=("self",)).filter(_DISKS, owner=line)
    copies = DiskSnapshot.objects.select_for_update(no_key=True, of=("self",)).filter(_COPIES, owner=line)
    return (
        list(machines.select_related("course").order_by("pk")),
        list(copies.select_related("course", "instance").order_by("pk")),
    )


@transaction.atomic
def hold_longer(line: Enrollment, *, who: User, now: datetime) -> None:
    """To the last day as it is now; an earlier one frees nothing: the disk may stay on. Raises BudgetRefused."""
    owner = Enrollment.objects.select_related("course", "limits").get(pk=line.pk)
    machines, copies = locked_disks(owner)
    for machine in machines:
        machine.owner, machine.course = owner, owner.course
    for copy in copies:
        copy.owner, copy.course = owner, owner.course
    wants = [books.disk_to_last_day(machine, now) for machine in machines]
    last = course_end(books.dates_for(owner, owner.course))
    # What a closing keeps for longer anyway was held for then as far as its budget could pay.
    wants += [disk_books.copy_to_its_end(copy, now) for copy in copies if not copy.keep_until or copy.keep_until < last]
    if wants:
        hold_together(budget_of(owner), wants, who=who, now=now)


@transaction.atomic
def hold_course_longer(course: Course, *, who: User, now: datetime) -> None:
    """Everybody's, after the course's dates were changed in the same transaction: all of it or nothing. Raises
    BudgetRefused, which names who cannot pay."""
    # All lines, as whoever clicks now takes an own one first, and reads the dates after it. Then all that is paid for,
    # before the first one's money: the meter and a "keep" have their machine and wait for the sponsor's budget.
    list(Enrollment.objects.select_for_update(no_key=True).filter(course=course).order_by("pk").values_list("pk"))
    disks = set(_owners_of(Instance.objects.filter(_DISKS, course=course)))
    copies = set(_owners_of(DiskSnapshot.objects.filter(_COPIES, course=course)))
    owners = Enrollment.objects.filter(pk__in=disks | copies).order_by("pk")
    refused = [(line, refusal) for line in owners if (refusal := _refusal(line, who, now))]
    if refused:
        raise BudgetRefused(_too_dear(refused))


def _owners_of(rows: QuerySet[Instance] | QuerySet[DiskSnapshot]) -> list[int]:
    """Their keys, and the rows locked."""
    return list(rows.select_for_update(no_key=True).order_by("pk").values_list("owner_id", flat=True))


def _refusal(line: Enrollment, who: User, now: datetime) -> BudgetRefused | None:
    try:
        hold_longer(line, who=who, now=now)
    except BudgetRefused as refusal:
        return refusal
    return None


def _too_dear(refused: Sequence[tuple[Enrollment, BudgetRefused]]) -> str:
    short = list(_short(refused))
    more = _(" and %(n)s more") % {"n": len(short) - _NAMED} if len(short) > _NAMED else ""
    return _(
        "Disks and their copies are paid for to the last day, and these budgets cannot pay so long: %(who)s. "
        "Raise them first, or choose an earlier day."
    ) % {"who": "; ".join(short[:_NAMED]) + more}


def _short(refused: Iterable[tuple[Enrollment, BudgetRefused]]) -> Iterator[str]:
    """Each budget once, with what it lacks: a shared one, for all who share it."""
    needed: dict[tuple[str, str, int], Decimal] = {}
    left: dict[tuple[str, str, int], Decimal] = {}
    for line, refusal in refused:
        if refusal.verdict is None:
            yield str(refusal)
            continue
        level, name = refusal.verdict.level, refusal.verdict.name
        of = (level, name, line.pk if level == Level.PERSON else 0)
        needed[of] = needed.get(of, Decimal(0)) + refusal.verdict.needed_usd
        left[of] = refusal.verdict.left_usd
    for of, usd in needed.items():
        yield _("%(name)s (%(usd)s is missing)") % {"name": of[1], "usd": rounded_up(usd - left[of])}
