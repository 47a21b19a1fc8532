"""What the spend pages are asked for: days, and what to look at in them. A refusal stands next to its field."""

from datetime import date, datetime
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from courses.doors import number_in
from courses.models import Course
from portal.spending import today_of
from spend.breakdown import Purpose
from spend.periods import CUSTOM, RECENT, WHOLE, Period, recent, whole
from spend.rows import Wanted

_DAY = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class PeriodForm(forms.Form):
    """Two dates count more than what was picked from the list."""

    range = forms.ChoiceField(label=gettext_lazy("Days"), required=False)
    first = forms.DateField(label=gettext_lazy("From"), required=False, widget=_DAY)
    last = forms.DateField(label=gettext_lazy("To"), required=False, widget=_DAY)

    def __init__(self, *args: Any, course: Course, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.course, self.today = course, today_of(now)
        self.milestones = {f"m{m.pk}": m for m in course.milestones.all() if m.handed_out_on <= self.today}
        field = self.fields["range"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type
        field.choices = [
            (WHOLE, _("Whole course so far")),
            *((key, ngettext("Last %(n)s day", "Last %(n)s days", n) % {"n": n}) for key, n in RECENT.items()),
            *((key, m.name) for key, m in self.milestones.items()),
            (CUSTOM, _("The days below")),
        ]

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        first, last = said.get("first"), said.get("last")
        if said.get("range") == CUSTOM and not self.errors and not (first and last):
            self.add_error("last" if first else "first", _("Say both days, the first and the last."))
        if first and last and first > last:
            self.add_error("last", _("The last day is before the first one."))
        return said

    def period(self) -> Period:
        """The whole course when nothing else was asked for, or nothing that can be answered."""
        said = self.cleaned_data if self.is_bound and self.is_valid() else {}
        first, last, key = said.get("first"), said.get("last"), said.get("range") or WHOLE
        if first and last and key in (CUSTOM, WHOLE, ""):
            return Period(CUSTOM, first, last)
        if key in self.milestones:
            found = self.milestones[key]
            return Period(key, found.handed_out_on, max(found.handed_out_on, min(found.due_on, self.today)))
        if key in RECENT:
            return recent(RECENT[key], *self._dates())
        return whole(*self._dates())

    def _dates(self) -> tuple[date, date, date]:
        return self.course.starts_on, max(self.course.ends_on, self.today), self.today


FILTERS = ("purpose", "preset", "team", "person")


class RowsForm(PeriodForm):
    """Which charges."""

    purpose = forms.ChoiceField(required=False, choices=[("", ""), *((p.value, p.value) for p in Purpose)])
    preset = forms.CharField(required=False, max_length=80, empty_value=None)
    team = forms.CharField(required=False, max_length=20)
    person = forms.IntegerField(required=False, min_value=1)

    def clean_team(self) -> int | None:
        said = self.cleaned_data["team"]
        if said == "none":
            return 0
        if said and number_in(said) is None:
            raise forms.ValidationError(_("There is no such team."))
        return number_in(said)

    def problems(self) -> list[str]:
        """Of what no visible field asks for: it came with the address."""
        return [str(error) for name in FILTERS for error in self.errors.get(name, [])]

    def wanted(self) -> Wanted:
        said = self.cleaned_data if self.is_valid() else {}
        purpose = said.get("purpose")
        preset = said.get("preset") if "preset" in self.data else None
        return Wanted(
            period=self.period(),
            purpose=Purpose(purpose) if purpose else None,
            preset=(preset or "") if "preset" in self.data else None,
            team=said.get("team"),
            person=said.get("person"),
        )
