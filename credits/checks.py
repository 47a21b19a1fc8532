"""Do the books of codes add up? Compares where each code is with what happened to it, row by row. Repairs nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, OuterRef, QuerySet, Subquery

from courses.models import Course
from credits.models import CodeBatch, CodeEvent, CodesCheck, CreditCode

Status = CreditCode.Status
Verb = CodeEvent.Verb
KEPT = 400  # results; a year of days, and some by hand

# What the last event of these says about where the code is. Others (shown, reported failed) move nothing.
_MOVES = {
    Verb.IMPORTED: Status.AVAILABLE,
    Verb.RETURNED: Status.AVAILABLE,
    Verb.CLAIMED: Status.CLAIMED,
    Verb.AWARDED: Status.CLAIMED,
    Verb.REDEEMED: Status.REDEEMED,
    Verb.QUARANTINED: Status.QUARANTINED,
    Verb.REVOKED: Status.REVOKED,
    Verb.TAKEN: Status.COURSE,
}


@dataclass(frozen=True, slots=True)
class Difference:
    batch: str
    what: str

    def __str__(self) -> str:
        return f"{self.batch}: {self.what}"


def check_codes(course: Course | None = None) -> list[Difference]:
    """Every difference, of one course or of all. Empty: each code came in once and is where its last event put it."""
    codes = CreditCode.objects.all() if course is None else CreditCode.objects.filter(batch__course=course)
    names = dict(CodeBatch.objects.filter(codes__in=codes).values_list("pk", "name"))
    return [*_misplaced(codes, names), *_not_imported_once(codes, names)]


def check_and_keep(now: datetime) -> CodesCheck:
    """The check of all courses, with its result stored for the page. The newest 400 are kept."""
    differences = [str(difference) for difference in check_codes()]
    kept = CodesCheck.objects.create(at=now, codes=CreditCode.objects.count(), differences=differences[:100])
    old = CodesCheck.objects.values_list("pk", flat=True)[KEPT:]
    CodesCheck.objects.filter(pk__in=list(old)).delete()
    return kept


def latest_check() -> CodesCheck | None:
    return CodesCheck.objects.first()


def _misplaced(codes: QuerySet[CreditCode], names: dict[int, str]) -> Iterator[Difference]:
    moves = CodeEvent.objects.filter(code=OuterRef("pk"), verb__in=_MOVES).order_by("-pk").values("verb")[:1]
    rows = codes.order_by().annotate(last=Subquery(moves)).values_list("batch", "status", "last")
    for batch, status, last, number in rows.annotate(Count("pk")):
        expected = _MOVES.get(Verb(last)) if last else None
        if expected != status:
            said = f"its last event is “{last}”" if last else "it has no event"
            yield Difference(names[batch], f"{number} codes are “{status}”, but {said}")


def _not_imported_once(codes: QuerySet[CreditCode], names: dict[int, str]) -> Iterator[Difference]:
    """What came in, by its own rows, is as many as there are."""
    there = dict(codes.order_by().values_list("batch").annotate(Count("pk")))
    events = CodeEvent.objects.filter(verb=Verb.IMPORTED, code__in=codes).order_by()
    came = dict(events.values_list("code__batch").annotate(Count("pk")))
    for batch in sorted(there.keys() | came.keys()):
        if there.get(batch, 0) != came.get(batch, 0):
            yield Difference(names[batch], f"{came.get(batch, 0)} codes came in, {there.get(batch, 0)} are there")
