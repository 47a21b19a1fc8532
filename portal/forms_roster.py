"""What staff say about the roster: which column is what, one person's facts, why somebody is closed."""

import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from courses.models import Role
from courses.names import full_name, is_address, plain
from courses.roster import LONGEST_KEY, LONGEST_SECTION, Columns, Field, people_in_lines
from courses.roster_columns import described, headings_of
from courses.roster_words import FIELDS
from courses.rostering import Facts
from courses.table_forms import ListForm
from courses.tables import Table

_DOMAIN = re.compile(r"^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$")
_MOST_COLUMNS = 60
_HEADING_ROWS = 10


class RosterListForm(ListForm):
    nothing = _("Choose a file, or paste the people.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["pasted"].label = _("Or paste the people")
        self.fields["pasted"].help_text = _(
            "“Ada Lovelace <ada@example.edu>”, one per line, or cells as you copy them from a spreadsheet."
        )

    def prepared(self, pasted: str) -> str:
        return people_in_lines(pasted)


def domain_of(text: str) -> str:
    """The domain in lower case; empty stays empty. Raises ValidationError."""
    said = text.strip().lower().removeprefix("@")
    if said and not _DOMAIN.match(said):
        raise forms.ValidationError(_("This is no domain. It looks like “example.edu”."))
    return said


class ColumnsForm(forms.Form):
    """One choice per field of ours. A value is the numbers of the columns, as they were guessed: `3` or `3,4`."""

    heading = forms.TypedChoiceField(label=_("The row with the headings"), coerce=int)
    domain = forms.CharField(
        label=_("Domain of the addresses"),
        required=False,
        max_length=100,
        help_text=_("Only for files without addresses: “example.edu” makes ada@example.edu of the login “ada”."),
    )
    roles = forms.BooleanField(label=_("Take roles from the file: it may let TAs and instructors in"), required=False)

    def __init__(self, table: Table, guessed: Columns, *args: Any, may_give_roles: bool, **kwargs: Any) -> None:
        chosen = {which.value: ",".join(map(str, columns)) for which, columns in guessed.of.items()}
        kwargs["initial"] = {**chosen, "heading": guessed.heading, "domain": guessed.domain}
        super().__init__(*args, **kwargs)
        self.table = table
        self.fields["heading"].choices = _heading_rows(table)  # type: ignore[attr-defined]
        if not may_give_roles:
            del self.fields["roles"]
        columns = [(str(n), described(table, n, guessed.heading)) for n in range(min(table.width, _MOST_COLUMNS))]
        for which, label in FIELDS.items():
            together = [(chosen[which.value], _("several columns"))] if "," in chosen.get(which.value, "") else []
            choices = [("", _("not in the file")), *together, *columns]
            self.fields[which.value] = forms.ChoiceField(label=label, required=False, choices=choices)
        self.order_fields([*(which.value for which in FIELDS), "heading", "domain", "roles"])

    def clean_domain(self) -> str:
        return domain_of(self.cleaned_data["domain"])

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        if not said.get(Field.EMAIL.value) and not said.get(Field.LOGIN.value):
            self.add_error(Field.EMAIL.value, _("Say which column holds the address, or the login."))
        elif not said.get(Field.EMAIL.value) and not said.get("domain") and self._needs_domain(said):
            words = _("This file has logins and no addresses. Say which domain makes an address of a login.")
            self.add_error("domain", words)
        if not any(said.get(which.value) for which in (Field.NAME, Field.FIRST, Field.LAST)) and not self._has_names(
            said
        ):
            self.add_error(Field.NAME.value, _("Say which column holds the name, or the first and the last name."))
        return said

    def _needs_domain(self, said: Mapping[str, Any]) -> bool:
        """Where logins are addresses, none is needed; where the domain is wrong already, that is said."""
        column = int(said[Field.LOGIN.value].split(",")[0])
        rows = self.table.rows[said.get("heading", -1) + 1 :]
        are_addresses = any("@" in row.cells[column] for row in rows if column < len(row.cells))
        return not are_addresses and "domain" not in self.errors

    def _has_names(self, said: Mapping[str, Any]) -> bool:
        """Beside the address, as mail programs write it: `Ada <ada@example.edu>`."""
        if not said.get(Field.EMAIL.value):
            return False
        column = int(said[Field.EMAIL.value].split(",")[0])
        rows = self.table.rows[said.get("heading", -1) + 1 :]
        return any("<" in row.cells[column] for row in rows if column < len(row.cells))

    def columns(self) -> Columns:
        said = self.cleaned_data
        of = {which: tuple(int(n) for n in said[which.value].split(",")) for which in Field if said.get(which.value)}
        return Columns(of, heading=said["heading"], domain=said["domain"], roles=said.get("roles", False))


def _heading_rows(table: Table) -> list[tuple[int, str]]:
    rows = [(n, row) for n, row in enumerate(table.rows[:_HEADING_ROWS])]
    best = headings_of(table)[0]
    shown = [(n, row) for n, row in rows if n <= max(best, 3)]
    words = _("Line %(n)d: %(cells)s")
    texts = [(n, words % {"n": row.number, "cells": ", ".join(map(plain, row.cells[:4]))[:60]}) for n, row in shown]
    return [(-1, str(_("There is none"))), *texts]


class PersonForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=200)
    email = forms.CharField(
        label=_("E-mail address"), max_length=254, help_text=_("The one that the university’s sign-in vouches for.")
    )
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)
    section = forms.CharField(label=_("Section"), max_length=LONGEST_SECTION, required=False)
    roster_key = forms.CharField(label=_("Student number"), max_length=LONGEST_KEY, required=False)

    def __init__(self, *args: Any, may_give_roles: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not may_give_roles:
            del self.fields["role"]

    def clean_name(self) -> str:
        name = full_name(self.cleaned_data["name"])
        if not name:
            raise forms.ValidationError(_("Write the name as people read it."))
        return name

    def clean_email(self) -> str:
        address = plain(self.cleaned_data["email"]).lower()
        if not is_address(address):
            raise forms.ValidationError(_("“%(text)s” is no e-mail address.") % {"text": address})
        return address

    def facts(self, role: str = Role.STUDENT) -> Facts:
        """`role` is kept where the form does not ask for it."""
        said = self.cleaned_data
        return Facts(said["name"], said["email"], said.get("role", role), said["section"], said["roster_key"])


class LeaveForm(forms.Form):
    why = forms.CharField(label=_("Reason"), max_length=300, error_messages={"required": _("Say why.")})
