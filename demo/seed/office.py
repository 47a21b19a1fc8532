"""What the demo's people asked and reported about codes, so that no staff page is empty. With chance of its own."""

import random
from datetime import datetime, timedelta
from decimal import Decimal

from courses.models import Enrollment
from credits import contests, requests
from credits.checks import check_and_keep
from credits.failures import report_failed
from credits.models import CodeBatch, CreditCode, Purpose
from credits.ranking import Ranked
from demo.seed.course import Roster

_SEED = 19
_BILL = "The code was taken two days ago and my bill still says $11.40."
_ODD = "Something went wrong (BEX-1043). Try again later."
_USED = "Attempting to redeem a promotion code that has already been redeemed"
_ASKED = (
    (40, False, 9, "Our lip reading clips are 30 fps video; one epoch takes four hours, and we need about thirty."),
    (100, False, 30, "I trained on the wrong split for a week and have to do it again before the sign-off."),
    (250, True, 52, "Satellite tiles at full size: three of us train in parallel until the final presentations."),
    (20, False, 75, "One more sweep over the learning rate for HW8."),
)


def open_the_office(roster: Roster, now: datetime) -> None:
    """Reports and requests of the last weeks, some of them answered, and a contest that waits for its award."""
    rng = random.Random(_SEED)
    welcome = CodeBatch.objects.get(course=roster.course, name="Welcome credit")
    _report_puzzling_bills(rng, welcome, now)
    _report_bad_codes(welcome, now)
    _ask_for_more(roster, now)
    _prepare_contest(roster, now)
    check_and_keep(now - timedelta(hours=6))


def _report_puzzling_bills(rng: random.Random, welcome: CodeBatch, now: datetime) -> None:
    """This week's trouble: so many of one kind that the portal says so to the staff."""
    redeemed = list(welcome.codes.filter(status=CreditCode.Status.REDEEMED, claimed_at__lt=now - timedelta(days=7)))
    for code in rng.sample(redeemed, 11):
        _report(code, "not-on-bill", _BILL, at=now - timedelta(hours=rng.randint(8, 140)))


def _report_bad_codes(welcome: CodeBatch, now: datetime) -> None:
    """One was used by somebody unknown and replaced at once; one puzzles the portal and waits for a person."""
    replaced, open_ = welcome.codes.filter(status=CreditCode.Status.CLAIMED).order_by("claimed_at", "pk")[:2]
    _report(replaced, "used", _USED, minutes=12)
    _report(open_, "other", _ODD, at=now - timedelta(hours=5))


def _report(code: CreditCode, cause: str, message: str, *, minutes: int = 0, at: datetime | None = None) -> None:
    holder = code.holder
    if holder is None or holder.user is None or code.claimed_at is None:
        return
    when = at or code.claimed_at + timedelta(minutes=minutes)
    report_failed(code, cause=cause, message=message, who=holder.user, address=None, now=when)


def _ask_for_more(roster: Roster, now: datetime) -> None:
    """Four wait; two have their answer."""
    askers = [line for line in roster.students[20::9] if line.user]
    for line, (usd, for_team, hours, reason) in zip(askers, _ASKED, strict=False):
        _ask(line, usd, reason, now - timedelta(hours=hours), for_team=for_team)
    ta = roster.assistants[0].user
    if ta is None:
        return
    reserve = CodeBatch.objects.get(course=roster.course, purpose=Purpose.RESERVE)
    weeks_ago = now - timedelta(weeks=3)
    granted = _ask(askers[-1], 100, "My first account was closed with its credit.", weeks_ago)
    later = weeks_ago + timedelta(hours=3)
    requests.approve_as_code(granted, batch=reserve, why="Use this one by the sign-off.", who=ta, now=later)
    refused = _ask(askers[-2], 800, "An A100 would be nice.", weeks_ago)
    requests.deny(refused, why="HW8 fits on the L4 preset; come by in office hours.", who=ta, now=later)


def _ask(line: Enrollment, usd: int, reason: str, when: datetime, *, for_team: bool = False) -> requests.CreditRequest:
    assert line.user  # noqa: S101 - for the type: askers have signed in
    return requests.ask(line, amount_usd=Decimal(usd), reason=reason, for_team=for_team, who=line.user, now=when)


def _prepare_contest(roster: Roster, now: datetime) -> None:
    """Read in and not awarded: the visitor does it."""
    instructor = roster.instructors[0].user
    if instructor is None:
        return
    reserve = CodeBatch.objects.get(course=roster.course, purpose=Purpose.RESERVE)
    made = contests.create_contest(
        roster.course, name="Best midterm demo", places=3, pool=reserve, who=instructor, now=now - timedelta(days=2)
    )
    teams = list(roster.course.teams.order_by("name")[4:6])
    ranking = [
        Ranked(place, team.name.partition(": ")[2], f"{4.9 - place / 10:.1f}") for place, team in enumerate(teams, 1)
    ]
    ranking.append(Ranked(3, "gradient_goblins", "4.4"))
    behind = {one.name: f"team:{team.pk}" for one, team in zip(ranking, teams, strict=False)}
    contests.enter(made, ranking, behind, who=instructor, now=now - timedelta(days=2))
