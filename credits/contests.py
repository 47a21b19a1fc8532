"""Prizes: a contest, its ranking, who is behind each name, and the award. Ranking and likeness are in `ranking.py`.

Staff confirm every name: a likeness of names gives nobody money.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from courses.models import Course, Enrollment, EnrollmentStatus, Role, Team, User
from credits import letters
from credits.awards import award
from credits.claiming import ClaimRefused
from credits.holding import Holder
from credits.models import CodeBatch, Contest, ContestPlace, CreditCode, Purpose
from credits.ranking import Guess, Known, Ranked, guesses, winners
from credits.staff import is_staff_of
from credits.telling import in_portal_language, prize_letter

POOLS = (Purpose.PRIZE, Purpose.RESERVE)


class ContestRefused(Exception):
    """Its text is for staff."""


@dataclass(frozen=True, slots=True)
class Awarded:
    """What became of one place: `code`, or the sentence why there is none. `is_new` is False when it had it already."""

    place: ContestPlace
    code: CreditCode | None
    is_new: bool = False
    refused: str = ""


def create_contest(course: Course, *, name: str, places: int, pool: CodeBatch, who: User, now: datetime) -> Contest:
    """The first `places` win a code of `pool` each. Raises `ContestRefused`."""
    _must_be_staff(course.pk, who)
    if pool.course_id != course.pk or pool.purpose not in POOLS:
        raise ContestRefused(_("Prizes come from a batch for prizes, or from the reserve."))
    if not name.strip() or not 1 <= places <= 100:
        raise ContestRefused(_("A contest needs a name and a number of places."))
    if Contest.objects.filter(course=course, name=name.strip()).exists():
        raise ContestRefused(_("There is a contest of this name already."))
    return Contest.objects.create(
        course=course, name=name.strip()[:120], places=places, pool=pool, created_by=who, created_at=now
    )


def people_of(course: Course) -> list[Known]:
    """All teams and students that a name may mean. Two queries."""
    students = Enrollment.objects.filter(course=course, status=EnrollmentStatus.ACTIVE, role=Role.STUDENT)
    people, members = [], dict[int, list[Known]]()
    for line in students.order_by("name", "pk"):
        one = Known(f"person:{line.pk}", line.name, (line.email.partition("@")[0],))
        people.append(one)
        if line.team_id:
            members.setdefault(line.team_id, []).append(one)
    teams = [
        Known(f"team:{team.pk}", team.name, (), tuple(one.key for one in members.get(team.pk, ())))
        for team in Team.objects.filter(course=course)
    ]
    return [*teams, *people]


def preview(contest: Contest, ranking: Sequence[Ranked]) -> list[Guess]:
    """The winners, each under a name of its own, and who they probably are. Writes nothing."""
    return guesses(_named_once(winners(ranking, contest.places)), people_of(contest.course))


def enter(
    contest: Contest, ranking: Sequence[Ranked], behind: Mapping[str, str], *, who: User, now: datetime
) -> list[ContestPlace]:
    """Write the winners down, `behind[name]` being `team:3`, `person:17` or empty. Raises `ContestRefused`.

    Said again it replaces the ranking; places that have their prize stay as they are.
    """
    _must_be_staff(contest.course_id, who)
    keys = {one.key for one in people_of(contest.course)}
    unknown = set(behind.values()) - keys - {""}
    if unknown:
        raise ContestRefused(_("Somebody in the list is no student of this course."))
    with transaction.atomic():
        row = _locked(contest)
        row.ranking.filter(code=None).delete()
        done = set(row.ranking.values_list("name", flat=True))
        ContestPlace.objects.bulk_create(
            _place(row, one, behind.get(one.name, ""))
            for one in _named_once(winners(ranking, row.places))
            if one.name not in done
        )
    return list(contest.ranking.select_related("team", "enrollment"))


def award_places(contest: Contest, chosen: Iterable[ContestPlace], *, who: User, now: datetime) -> list[Awarded]:
    """A code of the pool for each chosen place, the best first; letters to the winners. Said again nothing is doubled.

    Nobody gets two prizes of one contest. Raises `ContestRefused` when there are fewer codes than chosen places:
    whom a tie leaves without is for staff to say.
    """
    _must_be_staff(contest.course_id, who)
    # As they are now: the page that they were chosen on may be old.
    places = contest.ranking.filter(pk__in=[place.pk for place in chosen]).select_related("contest")
    free = contest.pool.codes.filter(status=CreditCode.Status.AVAILABLE).count()
    wanted = places.filter(Q(team__isnull=False) | Q(enrollment__isnull=False), code=None).count()
    if wanted > free:
        raise ContestRefused(
            _("%(wanted)d places are chosen and %(free)d codes are free: choose fewer, or add codes to “%(pool)s”.")
            % {"wanted": wanted, "free": free, "pool": contest.pool.name}
        )
    return [_award(place, who, now) for place in places.order_by("rank", "pk")]


def _award(place: ContestPlace, who: User, now: datetime) -> Awarded:
    """One transaction per place: with several, two contests could wait for each other's winners."""
    try:
        with transaction.atomic():
            contest = _locked(place.contest)
            row = ContestPlace.objects.select_related("contest__course", "team", "enrollment").get(pk=place.pk)
            if row.code:
                return Awarded(row, row.code)
            holder = row.holder
            if holder is None:
                return Awarded(row, None, refused=_("Nobody is known to be behind this name."))
            return _prize(contest, row, holder, who, now)
    except ClaimRefused as refused:
        return Awarded(place, None, refused=str(refused))


def _prize(contest: Contest, row: ContestPlace, holder: Holder, who: User, now: datetime) -> Awarded:
    why = _("Place %(rank)d in “%(contest)s”") % {"rank": row.rank, "contest": contest.name}
    # The key is the contest's, not the place's: somebody behind two names wins once.
    code = award(contest.pool, holder, key=f"contest/{contest.pk}", why=why, who=who, now=now)
    if ContestPlace.objects.filter(code=code).exists():
        return Awarded(row, None, refused=_("%(name)s has a prize of this contest already.") % {"name": holder})
    row.code, row.awarded_by, row.awarded_at = code, who, now
    row.save(update_fields=("code", "awarded_by", "awarded_at"))
    with in_portal_language():
        subject, body = prize_letter(row, code)
    for line in _winners_of(holder):
        letters.write(f"prize/{row.pk}/{line.pk}", to=line.email, subject=subject, body=body, now=now)
    return Awarded(row, code, is_new=True)


def _winners_of(holder: Holder) -> list[Enrollment]:
    if isinstance(holder, Team):
        return list(Enrollment.objects.filter(team=holder, status=EnrollmentStatus.ACTIVE))
    return [holder]


def _locked(contest: Contest) -> Contest:
    return Contest.objects.select_for_update(of=("self",)).select_related("pool", "course").get(pk=contest.pk)


def _named_once(ranking: Iterable[Ranked]) -> list[Ranked]:
    """Two teams may bear one name on the leaderboard: the second is told apart by its number there."""
    seen, named = set[str](), []
    for one in ranking:
        name = one.name if one.name not in seen else f"{one.name} ({one.key or one.rank})"
        seen.add(one.name)
        named.append(Ranked(one.rank, name, one.score, one.members, one.key))
    return named


def _place(contest: Contest, one: Ranked, key: str) -> ContestPlace:
    kind, _colon, number = key.partition(":")
    return ContestPlace(
        contest=contest,
        rank=one.rank,
        name=one.name,
        score=one.score,
        team_id=int(number) if kind == "team" else None,
        enrollment_id=int(number) if kind == "person" else None,
    )


def _must_be_staff(course_id: int, who: User) -> None:
    if not is_staff_of(course_id, who):
        raise ContestRefused(_("This contest belongs to another course."))
