"""All that staff see first of a course's codes: the books, what is about to be lost, what many report. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from courses.models import Course
from credits.books import BatchLine, Place, books
from credits.checks import latest_check
from credits.diagnosis import LoudCause, loud_causes
from credits.expiry import Expiring, Unclaimed, expiring, unclaimed
from credits.models import CodesCheck
from credits.open_work import Work, open_work
from credits.stock_page import Number, Opening, opening_of, place_words

SOON_DAYS = 3
EXPIRING_SHOWN = 50
STILL_LOUD = timedelta(days=14)  # after the last report of a cause; a banner that never goes is not read


@dataclass(frozen=True, slots=True)
class Row:
    line: BatchLine
    opening: Opening
    cells: Sequence[Number]  # one for each column


@dataclass(frozen=True, slots=True)
class Desk:
    work: Work
    columns: Sequence[Number]  # only those in which any batch has a code
    rows: Sequence[Row]
    bought: int
    bought_usd: Decimal
    check: CodesCheck | None
    expiring: Sequence[Expiring]
    expiring_count: int
    unclaimed: Sequence[Unclaimed]
    loud: Sequence[LoudCause]

    @property
    def unclaimed_usd(self) -> Decimal:
        return sum((line.usd for line in self.unclaimed), Decimal(0))

    @property
    def soon(self) -> int:
        """How many are lost within three days."""
        return sum(line.days <= SOON_DAYS for line in self.expiring)


def desk(course: Course, now: datetime) -> Desk:
    """The same number of queries for 3 codes and for 50,000."""
    today = now.astimezone(UTC).date()
    found = books(course, today)
    words = place_words()
    used = [place for place in Place if found.count(place)]
    lost = expiring(course, today)
    return Desk(
        work=open_work(course),
        columns=[Number(words[place], found.count(place), found.usd(place)) for place in used],
        rows=[
            Row(
                line,
                opening_of(line.batch, now),
                [Number(words[place], line.count.get(place, 0), line.usd(place)) for place in used],
            )
            for line in found.lines
        ],
        bought=found.bought,
        bought_usd=found.bought_usd,
        check=latest_check(),
        expiring=lost[:EXPIRING_SHOWN],
        expiring_count=len(lost),
        unclaimed=unclaimed(course, today),
        loud=[loud for loud in loud_causes(course) if now - loud.last_at < STILL_LOUD],
    )
