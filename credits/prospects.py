"""What staff should know before a prize is given: ties, people who win twice, promotions that an account has already.

Reads only; a concern forbids nothing.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from courses.models import Enrollment, EnrollmentStatus
from credits.holding import HELD
from credits.models import Contest, ContestPlace, CreditCode


class Concern(StrEnum):
    NOBODY = "nobody"  # no name behind it yet
    TWICE = "twice"  # one of its people is behind another place, too
    PROMOTION = "promotion"  # AWS takes one code of a promotion per account, and they have one
    TIE = "tie"  # it shares its rank, and there are not enough codes for all who do


@dataclass(frozen=True, slots=True)
class Prospect:
    """One place before the award. `better` is who could redeem it: people without a code of its promotion."""

    place: ContestPlace
    concerns: frozenset[Concern]
    better: Sequence[Enrollment]

    @property
    def is_ready(self) -> bool:
        """Nothing speaks against it, and it has no prize yet."""
        return not self.concerns and self.place.code_id is None


def prospects(contest: Contest) -> list[Prospect]:
    """Every place in order. Four queries."""
    places = list(contest.ranking.select_related("team", "enrollment__team", "code", "awarded_by"))
    free = contest.pool.codes.filter(status=CreditCode.Status.AVAILABLE).count()
    members = _members(places)
    holding = _holding(contest)
    wins = Counter(person.pk for place in places for person in _people(place, members))
    short = _short_ranks(places, free)
    return [_prospect(place, members, holding, wins, short) for place in places]


def _members(places: Sequence[ContestPlace]) -> dict[int, list[Enrollment]]:
    """Everybody in the teams that won, and in the teams of those who won alone: they may help out."""
    teams = {place.team_id for place in places if place.team_id}
    teams |= {place.enrollment.team_id for place in places if place.enrollment and place.enrollment.team_id}
    found: dict[int, list[Enrollment]] = {}
    for line in Enrollment.objects.filter(team__in=teams, status=EnrollmentStatus.ACTIVE).order_by("name", "pk"):
        if line.team_id:
            found.setdefault(line.team_id, []).append(line)
    return found


def _people(place: ContestPlace, members: dict[int, list[Enrollment]]) -> list[Enrollment]:
    if place.team_id:
        return members.get(place.team_id, [])
    return [place.enrollment] if place.enrollment else []


def _holding(contest: Contest) -> set[int]:
    """Who has a code of the pool's promotion, by enrollment id. A batch without a promotion's name says nothing."""
    if not contest.pool.promotion:
        return set()
    same = CreditCode.objects.filter(
        batch__course=contest.course_id, batch__promotion=contest.pool.promotion, status__in=HELD, holder__isnull=False
    ).exclude(prize_of__contest=contest)
    return {pk for pk in same.values_list("holder", flat=True) if pk}


def _short_ranks(places: Sequence[ContestPlace], free: int) -> set[int]:
    """Ranks that several share and that the free codes do not reach for all of."""
    waiting = Counter(place.rank for place in places if place.code_id is None)
    short, left = set(), free
    for rank in sorted(waiting):
        if waiting[rank] > max(left, 0) and waiting[rank] > 1:
            short.add(rank)
        left -= waiting[rank]
    return short


def _prospect(
    place: ContestPlace,
    members: dict[int, list[Enrollment]],
    holding: set[int],
    wins: Counter[int],
    short: set[int],
) -> Prospect:
    people = _people(place, members)
    found = {
        Concern.NOBODY: place.holder is None,
        Concern.TWICE: any(wins[person.pk] > 1 for person in people),
        # Of a team somebody else can redeem it: only when all have one is it a concern.
        Concern.PROMOTION: bool(people) and all(person.pk in holding for person in people),
        Concern.TIE: place.rank in short and place.code_id is None,
    }
    mates = people if place.team_id else members.get(place.enrollment.team_id or 0, []) if place.enrollment else []
    better = [person for person in mates if person.pk not in holding] if holding else []
    return Prospect(place, frozenset(concern for concern, is_so in found.items() if is_so), better)
