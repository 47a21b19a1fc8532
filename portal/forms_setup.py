"""What is asked to set a course up: names and dates, and what everybody gets."""

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.utils.translation import gettext_lazy as _

from courses.names import full_name, is_address, plain
from credits.forms import DayInput
from portal.forms_roster import domain_of

_ZONES = [(zone, zone.replace("_", " ")) for zone in sorted(available_timezones()) if "/" in zone or zone == "UTC"]


class DatesForm(forms.Form):
    name = forms.CharField(label=_("Name of the course"), max_length=200)
    term = forms.CharField(
        label=_("Term"), max_length=60, required=False, help_text=_("As people say it: “Spring 2027”.")
    )
    timezone = forms.ChoiceField(label=_("Time zone"), choices=_ZONES)
    starts_on = forms.DateField(label=_("First day"), widget=DayInput())
    ends_on = forms.DateField(
        label=_("Last day"), widget=DayInput(), help_text=_("Disks are paid for to its end; then nothing is launched.")
    )
    contact = forms.CharField(
        label=_("Whom to ask"),
        max_length=200,
        required=False,
        help_text=_("An address or a page. It is shown to people who cannot come in."),
    )
    email_domain = forms.CharField(
        label=_("Domain of the addresses"),
        max_length=100,
        required=False,
        help_text=_("“example.edu”. Only needed where rosters have logins (“ada”) in place of addresses."),
    )

    def clean_email_domain(self) -> str:
        return domain_of(self.cleaned_data["email_domain"])

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        first, last = said.get("starts_on"), said.get("ends_on")
        if first and last and last < first:
            self.add_error("ends_on", _("That is before the first day."))
        return said


class CourseForm(DatesForm):
    """A new course, with its first instructor."""

    slug = forms.SlugField(
        label=_("Short name in the course’s address"),
        max_length=50,
        required=False,
        help_text=_("“dl-spring-2027” makes /c/dl-spring-2027/. Empty: made of name and term. It stays as it is."),
    )
    instructor_name = forms.CharField(label=_("Instructor’s name"), max_length=200)
    instructor = forms.CharField(
        label=_("Instructor’s e-mail address"), max_length=254, help_text=_("They get a letter, and go on from there.")
    )

    def clean_instructor(self) -> str:
        address = plain(self.cleaned_data["instructor"]).lower()
        if not is_address(address):
            raise forms.ValidationError(_("“%(text)s” is no e-mail address.") % {"text": address})
        return address

    def clean_instructor_name(self) -> str:
        return full_name(self.cleaned_data["instructor_name"])

    def facts(self) -> dict[str, Any]:
        said = dict(self.cleaned_data)
        del said["instructor"], said["instructor_name"]
        return said


class MoneyForm(forms.Form):
    course_usd = forms.DecimalField(
        label=_("For the whole course, USD"), min_value=1, max_value=10_000_000, decimal_places=2, initial=30_000
    )
    team_usd = forms.DecimalField(
        label=_("For each team, USD"), min_value=0, max_value=1_000_000, decimal_places=2, initial=1_500
    )
    person_usd = forms.DecimalField(
        label=_("For each person, USD"), min_value=0, max_value=1_000_000, decimal_places=2, initial=300
    )

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        whole = said.get("course_usd")
        for name in ("team_usd", "person_usd"):
            if whole is not None and said.get(name) is not None and said[name] > whole:
                self.add_error(name, _("That is more than the whole course has."))
        return said
