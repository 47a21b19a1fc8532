"""All that is kept about a person, for that person: a page with the newest of each, and a file with everything."""

import csv
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import IO, Any

from django.apps import apps
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from courses.models import Enrollment, User
from courses.sheets import harmless
from portal.audit_words import words
from portal.figures import usd, usd_fine
from portal.personal import KEPT, Kept, Whose

NEWEST = 5
PIECE = 2000


@dataclass(frozen=True, slots=True)
class Part:
    """One table as the page shows it."""

    title: str
    count: int
    columns: Sequence[str]
    newest: Sequence[Sequence[tuple[str, str]]]  # of each row: the column and what stands in it


def whose(user: User) -> Whose:
    return Whose(list(Enrollment.objects.filter(user=user).select_related("course")), user)


def parts(of: Whose) -> list[Part]:
    """Those that hold something. Two queries for each table, however many rows it has."""
    found = []
    for kept in _shown():
        rows = kept.shown(of)
        if count := rows.count():
            told = [_teller(kept, name) for name in kept.show]
            lines = rows.order_by("-pk").values_list(*kept.show)[:NEWEST]
            columns = [_word(name) for name in kept.show]
            newest = [[(n, tell(cell)) for n, tell, cell in zip(columns, told, row, strict=True)] for row in lines]
            found.append(Part(str(kept.title), count, columns, newest))
    return found


def write_zip(of: Whose, now: datetime) -> IO[bytes]:
    """`all.json`, and the same as one CSV for each table. Read in pieces and written to a file that has no name."""
    target = tempfile.TemporaryFile()  # noqa: SIM115 - whoever sends it closes it
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as pack:
        with io.TextIOWrapper(pack.open("all.json", "w"), encoding="utf-8") as everything:
            everything.write(f'{{"as_of": "{now.astimezone(UTC).isoformat(timespec="seconds")}"')
            for kept in _shown():
                everything.write(f",\n{json.dumps(_file_name(kept))}: [")
                for number, row in enumerate(_rows(kept, of)):
                    named = dict(zip(kept.show, row, strict=True))
                    everything.write((",\n" if number else "\n") + json.dumps(named, default=str))
                everything.write("]")
            everything.write("}\n")
        for kept in _shown():
            with io.TextIOWrapper(pack.open(f"{_file_name(kept)}.csv", "w"), encoding="utf-8", newline="") as table:
                writer = csv.writer(table)
                writer.writerow(kept.show)
                writer.writerows([harmless(cell) for cell in row] for row in _rows(kept, of))
    target.seek(0)
    return target


def _shown() -> list[Kept]:
    return [kept for kept in KEPT if kept.show]


def _rows(kept: Kept, of: Whose) -> Iterator[list[object]]:
    for row in kept.shown(of).order_by("pk").values_list(*kept.show).iterator(PIECE):
        yield [_plain(cell) for cell in row]


def _plain(cell: Any) -> object:
    """Moments in UTC; everything else as it is written."""
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).isoformat(timespec="seconds")
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, dict | list):
        return json.dumps(cell, default=str) if cell else ""
    return cell if isinstance(cell, int | str | bool) else "" if cell is None else str(cell)


# ------------------------------------------------------------------ as people read it
_WORDS = {
    "at": _("when"),
    "who__full_name": _("by whom"),
    "course__name": _("course"),
    "email": _("e-mail address"),
    "uid": _("who you are to them"),
    "extra_data": _("what they told us"),
    "opaque_id": _("your name at AWS"),
    "address": _("from where"),
    "last4": _("ends in"),
    "code__last4": _("code ends in"),
    "team__name": _("team"),
    "batch__name": _("batch"),
    "batch__value_usd": _("worth"),
    "amount_usd": _("amount"),
    "spent_usd": _("spent"),
    "held_usd": _("held"),
    "facts": _("details"),
    "key": _("of what"),
}


def _word(name: str) -> str:
    return str(_WORDS.get(name) or name.replace("__", " ").replace("_", " "))


def _teller(kept: Kept, name: str) -> Callable[[Any], str]:
    """How the page shows a column's cells: choices by their label, amounts as money, the rest by its type."""
    if name.endswith("usd"):
        return lambda cell: "" if cell is None else usd_fine(cell) if 0 < abs(cell) < 0.1 else usd(cell)
    if (kept.label, name) == ("courses.AuditEntry", "what"):
        return words
    choices = {} if "__" in name else dict(apps.get_model(kept.label)._meta.get_field(name).flatchoices or ())
    return (lambda cell: str(choices.get(cell, cell))) if choices else _told


def _told(cell: Any) -> str:
    if isinstance(cell, bool):
        return str(_("yes") if cell else _("no"))
    if isinstance(cell, datetime):
        return date_format(timezone.localtime(cell), "DATE_TIME_FORMAT")
    if isinstance(cell, dict):
        return ", ".join(f"{name}: {_told(value)}" for name, value in cell.items() if value not in ("", None))
    if isinstance(cell, list):
        return ", ".join(map(_told, cell))
    return str(_plain(cell))


def _file_name(kept: Kept) -> str:
    return kept.label.partition(".")[2].lower()
