"""What an instructor allows one person. What is left empty is as for everybody."""

from typing import Any

from django import forms
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from courses.models import Course, Enrollment
from credits.forms import DayInput
from instances.limits import Limits, own_limits_of
from instances.models import Policy
from portal.overrides import Wanted
from spend.models import Budget


class OverridesForm(forms.Form):
    budget_usd = forms.DecimalField(
        label=_("Budget in USD"), required=False, min_value=0, max_value=1_000_000, decimal_places=2
    )
    keep_hours = forms.IntegerField(
        label=_("May keep a machine for, hours"), required=False, min_value=1, max_value=168
    )
    at_once = forms.IntegerField(
        label=_("Machines of one preset at once"),
        required=False,
        min_value=0,
        max_value=50,
        help_text=_("Everybody: as each preset says. 0: no new machine; what runs goes on."),
    )
    ends_on = forms.DateField(label=_("Last day"), required=False, widget=DayInput())
    extra_presets = forms.TypedMultipleChoiceField(
        label=_("Presets beyond the offer"), coerce=int, required=False, widget=forms.CheckboxSelectMultiple
    )
    only_presets = forms.TypedMultipleChoiceField(
        label=_("These presets only"), coerce=int, required=False, widget=forms.CheckboxSelectMultiple
    )
    why = forms.CharField(
        label=_("Reason"),
        max_length=300,
        help_text=_("Only the course’s instructors read it: neither the student nor a TA does."),
        error_messages={"required": _("Say why: the next instructor wants to know.")},
    )

    def __init__(self, line: Enrollment, budget: Budget | None, *args: Any, **kwargs: Any) -> None:
        now = own_limits_of(line)
        kwargs["initial"] = {
            "budget_usd": f"{budget.amount_usd:.2f}" if budget else None,
            "keep_hours": now.keep_hours,
            "at_once": now.at_once,
            "ends_on": now.ends_on,
            "extra_presets": list(now.extra_presets),
            "only_presets": list(now.only_presets),
        }
        super().__init__(*args, **kwargs)
        self.line = line
        presets = [(preset.pk, preset.name, preset.enabled) for preset in line.course.presets.all()]
        self._choose("extra_presets", [(pk, name) for pk, name, enabled in presets if not enabled])
        self._choose("only_presets", [(pk, name) for pk, name, _enabled in presets])
        if budget is None:
            del self.fields["budget_usd"]
        self._tell_the_rule(line.course)

    def _tell_the_rule(self, course: Course) -> None:
        """Behind each field that may stay empty: what everybody has."""
        policy = Policy.objects.filter(course=course).first() or Policy(course=course)
        self.fields["keep_hours"].help_text = _("Everybody: %(n)d hours at most.") % {"n": policy.keep_hours_max}
        self.fields["ends_on"].help_text = _("Everybody: %(day)s.") % {
            "day": date_format(course.ends_on, "DATE_FORMAT")
        }

    def _choose(self, name: str, choices: list[tuple[int, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.TypedMultipleChoiceField)  # noqa: S101 - for the type
        field.choices = choices
        if not choices:
            del self.fields[name]

    def clean_ends_on(self) -> Any:
        day = self.cleaned_data["ends_on"]
        if day and day < self.line.course.starts_on:
            raise forms.ValidationError(_("That is before the course begins."))
        return day

    def wanted(self) -> Wanted:
        said = self.cleaned_data
        kept = own_limits_of(self.line)
        return Wanted(
            said.get("budget_usd"),
            Limits(
                said["keep_hours"],
                said["at_once"],
                said["ends_on"],
                tuple(said.get("extra_presets", kept.extra_presets)),
                tuple(said.get("only_presets", kept.only_presets)),
            ),
        )
