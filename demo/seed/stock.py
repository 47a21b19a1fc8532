"""The demo's AWS codes (invented, worth nothing): credit for everyone, prizes, a reserve; most of it claimed."""

import random
from datetime import datetime, timedelta
from decimal import Decimal

from courses.models import Enrollment
from credits import contests
from credits.models import CodeBatch, Purpose
from credits.ranking import Ranked
from credits.services import claim, report_redeemed, reveal
from credits.stock import add_codes
from demo.seed.calendar import Calendar
from demo.seed.course import Roster

_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_PRIZES = ("HW4", "HW6", "HW7")
_ADDRESS = "192.0.2.17"  # an address that nobody has


def fill_the_stock(rng: random.Random, roster: Roster, calendar: Calendar, first_day: datetime, now: datetime) -> None:
    everyone = _batch(rng, roster, calendar, first_day, "Welcome credit", 100, 110, Purpose.EVERYONE)
    _batch(rng, roster, calendar, first_day, "Reserve", 100, 10, Purpose.RESERVE)
    project = _batch(rng, roster, calendar, first_day, "Project credit", 50, 100, Purpose.EVERYONE)
    project.opens_at = first_day + timedelta(weeks=13, hours=9)  # the week after today: to be seen as "opens on"
    project.save(update_fields=("opens_at",))
    _let_them_claim(rng, roster, everyone, first_day, now)
    for work in calendar.work:
        contest = work.name.partition(":")[0]
        if contest in _PRIZES:
            prize = _batch(rng, roster, calendar, first_day, f"{contest} prizes", 500, 3, Purpose.PRIZE)
            awarded = first_day + timedelta(days=(work.due_on - calendar.starts_on).days + 3, hours=18)
            if awarded < now:
                _award(rng, roster, prize, contest, awarded)


def _batch(
    rng: random.Random,
    roster: Roster,
    calendar: Calendar,
    first_day: datetime,
    name: str,
    value_usd: int,
    count: int,
    purpose: Purpose,
) -> CodeBatch:
    batch = CodeBatch.objects.create(
        course=roster.course,
        name=name,
        value_usd=Decimal(value_usd),
        promotion=f"DEMO-{name.upper().replace(' ', '-')}",
        purpose=purpose,
        redeem_by=calendar.ends_on,
        expires_on=calendar.starts_on + timedelta(days=365),
        opens_at=first_day if purpose == Purpose.EVERYONE else None,
    )
    texts = ["DEMO" + "".join(rng.choices(_LETTERS, k=12)) for _n in range(count)]
    add_codes(batch, enumerate(texts, start=1), who=roster.instructors[0].user, now=first_day - timedelta(days=1))
    return batch


def _let_them_claim(rng: random.Random, roster: Roster, batch: CodeBatch, first_day: datetime, now: datetime) -> None:
    """Half in the first week, the rest one by one; a few never, and the first student not yet: the visitor does."""
    for line in roster.students[1:]:
        if rng.random() < 0.1:
            continue
        when = first_day + timedelta(days=min(70.0, rng.expovariate(1 / 8)), seconds=rng.randrange(40_000))
        if when < now - timedelta(days=1):
            _claim_and_redeem(rng, line, batch, when)


def _claim_and_redeem(rng: random.Random, line: Enrollment, batch: CodeBatch, when: datetime) -> None:
    if line.user is None:
        return
    code = claim(line, batch, who=line.user, address=_ADDRESS, now=when)
    for _look in range(rng.choice((1, 1, 1, 2, 3))):
        when += timedelta(seconds=rng.randint(2, 600))
        reveal(code, who=line.user, why="", address=_ADDRESS, now=when)
    if rng.random() < 0.9:
        report_redeemed(code, who=line.user, address=_ADDRESS, now=when + timedelta(seconds=rng.randint(90, 5000)))


def _award(rng: random.Random, roster: Roster, prize: CodeBatch, contest: str, when: datetime) -> None:
    instructor = roster.instructors[0].user
    if instructor is None:
        return
    winners = rng.sample(roster.students[2:], 3)
    made = contests.create_contest(
        roster.course, name=f"{contest} on Kaggle", places=3, pool=prize, who=instructor, now=when
    )
    ranking = [Ranked(place, line.name) for place, line in enumerate(winners, start=1)]
    behind = {line.name: f"person:{line.pk}" for line in winners}
    places = contests.enter(made, ranking, behind, who=instructor, now=when)
    contests.award_places(made, places, who=instructor, now=when)
