"""A contest's ranking out of a table, and who is behind each name. Pure: no database, no file.

Kaggle's leaderboard comes in two shapes: one line per team with its rank (`Rank,TeamId,TeamName,…,Score,…,
TeamMemberUserNames`), or one line per improvement, the last one of each team being its best
(`TeamId,TeamName,SubmissionDate,Score`). A list of names in their order will do as well.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from courses.tables import Table

_NAME = ("teamname", "team", "name", "participant")
_RANK = ("rank", "place", "position", "#")
_SCORE = ("score", "points", "result")
_ID = ("teamid", "id")
_MEMBERS = ("teammemberusernames", "members")
_SURE = 0.87  # likeness of two names from which on they are taken for the same, if nobody else comes close
_MAYBE = 0.55
LONGEST = 200


class NotARanking(ValueError):
    """Its text says what is missing."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One competitor. Equal ranks are a tie."""

    rank: int
    name: str
    score: str = ""
    members: tuple[str, ...] = ()  # user names at the contest's own site
    key: str = ""  # the site's id of the team: names may occur twice


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody of the course that a name may mean. `key` is opaque here: `team:3`, `person:17`."""

    key: str
    name: str
    also: tuple[str, ...] = ()  # e-mail's local part, members' names
    members: tuple[str, ...] = ()  # of a team: the keys of its people; of a person: empty


@dataclass(frozen=True, slots=True)
class Guess:
    """`sure` is who it is; `maybe` whom else to offer, the likeliest first."""

    ranked: Ranked
    sure: Known | None
    maybe: tuple[Known, ...] = ()


def read_ranking(table: Table, *, higher_is_better: bool = True) -> list[Ranked]:
    """The competitors, best first. Raises `NotARanking`.

    With a rank column, it counts. Else equal scores share a rank; without scores the lines' order counts.
    """
    rows = [row.cells for row in table.rows]
    columns = _columns(rows[0]) if rows else {}
    if "name" not in columns:
        columns, body = {"name": 0}, rows
        if table.width != 1:
            raise NotARanking("no column with the teams' names")
    else:
        body = rows[1:]
    found = [_entry(cells, columns) for cells in body]
    found = [one for one in found if one.name]
    if not found:
        raise NotARanking("no names")
    if "rank" in columns:
        return sorted(found, key=lambda one: one.rank)
    return (
        _by_score(_best_of_each(found, higher_is_better), higher_is_better) if "score" in columns else _numbered(found)
    )


def winners(ranking: Iterable[Ranked], places: int) -> list[Ranked]:
    """All whose rank is within the places: with a tie at the end, more than there are places."""
    return [one for one in ranking if one.rank <= places]


def guesses(ranking: Iterable[Ranked], known: Sequence[Known]) -> list[Guess]:
    """For each name who it probably is."""
    return [_guess(ranked, known) for ranked in ranking]


def _columns(heading: Sequence[str]) -> dict[str, int]:
    """Where each field is. The exact word decides before one that only contains it ("TeamName" before "Team Id")."""
    said = [re.sub(r"[^a-z#]", "", cell.casefold()) for cell in heading]
    kinds = {"name": _NAME, "rank": _RANK, "score": _SCORE, "id": _ID, "members": _MEMBERS}
    found = {}
    for kind, words in kinds.items():
        places = [said.index(word) for word in words if word in said]
        if places:
            found[kind] = places[0]
    return found


def _entry(cells: Sequence[str], columns: dict[str, int]) -> Ranked:
    def cell(kind: str) -> str:
        at = columns.get(kind)
        return cells[at].strip() if at is not None and at < len(cells) else ""

    members = tuple(name for name in re.split(r"[,;\s]+", cell("members")) if name)
    name = " ".join(cell("name").split())[:LONGEST]
    return Ranked(
        _rank(cell("rank")) if "rank" in columns and name else 0, name, cell("score")[:40], members, cell("id")
    )


def _rank(text: str) -> int:
    digits = re.fullmatch(r"#?\s*(\d{1,6})(?:\.0)?\.?", text)
    if not digits or int(digits[1]) < 1:
        raise NotARanking(f"no rank: {text[:20]!r}")
    return int(digits[1])


def _value(one: Ranked) -> float:
    try:
        return float(one.score.replace(",", "."))
    except ValueError:
        raise NotARanking(f"no score: {one.score[:20]!r}") from None


def _best_of_each(entries: list[Ranked], higher_is_better: bool) -> list[Ranked]:
    """One line per competitor, where the list has one per improvement."""
    best: dict[str, Ranked] = {}
    for one in entries:
        key = one.key or one.name.casefold()
        before = best.get(key)
        if before is None or (_value(one) > _value(before)) == higher_is_better:
            best[key] = one
    return list(best.values())


def _by_score(entries: list[Ranked], higher_is_better: bool) -> list[Ranked]:
    ordered = sorted(entries, key=_value, reverse=higher_is_better)
    ranked: list[Ranked] = []
    for number, one in enumerate(ordered, start=1):
        tie = ranked and _value(ranked[-1]) == _value(one)
        ranked.append(replace(one, rank=ranked[-1].rank if tie else number))
    return ranked


def _numbered(entries: list[Ranked]) -> list[Ranked]:
    return [replace(one, rank=number) for number, one in enumerate(entries, start=1)]


def _plain(name: str) -> str:
    """Without case, accents, punctuation, and the word "team" that half of them begin with."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    words = (
        re.sub(r"[^\w]+", " ", "".join(c for c in letters if not unicodedata.combining(c))).replace("_", " ").split()
    )
    kept = [word for word in words if word not in ("team", "the", "group")]
    return " ".join(kept or words)


def _guess(ranked: Ranked, known: Sequence[Known]) -> Guess:
    weighed = sorted(((_likeness(ranked, one), one) for one in known), key=lambda pair: -pair[0])
    near = tuple(one for likeness, one in weighed if likeness >= _MAYBE)[:5]
    sure = None
    if weighed and weighed[0][0] >= _SURE:
        rival = weighed[1][0] if len(weighed) > 1 else 0.0
        sure = weighed[0][1] if weighed[0][0] - rival > 0.08 else None
    return Guess(ranked, sure, tuple(one for one in near if one is not sure))


def _likeness(ranked: Ranked, known: Known) -> float:
    """Of the nearest pair of names. Members say a little less than the name itself: they may be in several teams."""
    name = _plain(ranked.name)
    own = max(_ratio(name, _plain(other)) for other in (known.name, _after_number(known.name)))
    others = [_ratio(name, _plain(other)) for other in known.also]
    others += [_ratio(_plain(user), _plain(other)) for user in ranked.members for other in known.also]
    return max(own, 0.95 * max(others, default=0.0))


def _after_number(name: str) -> str:
    """ "Team 07: Whale Calls" is called "Whale Calls" elsewhere."""
    return name.partition(":")[2] or name


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio() if one and other else 0.0
