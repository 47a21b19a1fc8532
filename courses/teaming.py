"""Who goes into which team, when those who are left over are placed at random. Pure: chance comes in as a seed."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Plan:
    """People by their numbers. Who is in `left` fits nowhere: no team has room, and they are too few for a new one."""

    joins: dict[int, list[int]] = field(default_factory=dict)  # team -> who joins it
    new: list[list[int]] = field(default_factory=list)
    left: list[int] = field(default_factory=list)


def place_leftovers(sizes: Mapping[int, int], people: Sequence[int], *, least: int, most: int, seed: int) -> Plan:
    """Teams that are too small come first; then new teams of even size; who is too few for one fills the others up."""
    waiting = sorted(people)
    random.Random(seed).shuffle(waiting)  # noqa: S311 - a lottery among classmates, not a secret
    now = dict(sizes)
    joins: dict[int, list[int]] = {}

    def join(team: int) -> None:
        joins.setdefault(team, []).append(waiting.pop())
        now[team] += 1

    for team in sorted((t for t in now if now[t] < least), key=lambda t: (least - now[t], t)):
        while waiting and now[team] < least:
            join(team)
    while waiting and not _makes_teams(len(waiting), least, most):
        room = [team for team in now if now[team] < most]
        if not room:
            break
        join(min(room, key=lambda team: (now[team], team)))
    if waiting and _makes_teams(len(waiting), least, most):
        return Plan(joins, _evenly(waiting, most), [])
    return Plan(joins, [], waiting)


def _makes_teams(people: int, least: int, most: int) -> bool:
    """Whether so many can be divided into teams of allowed sizes."""
    return people >= -(-people // most) * least


def _evenly(people: Sequence[int], most: int) -> list[list[int]]:
    teams = -(-len(people) // most)
    return [list(people[n::teams]) for n in range(teams)]
