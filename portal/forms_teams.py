"""What staff and students say about teams: a name, who is in it, the sizes, an address to invite."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from courses.models import Course, Enrollment, EnrollmentStatus, Role, Team
from courses.names import plain
from courses.teams import LONGEST_NAME


class SizesForm(forms.Form):
    team_min = forms.IntegerField(label=_("A team has at least"), min_value=1, max_value=50)
    team_max = forms.IntegerField(label=_("and at most"), min_value=1, max_value=50)
    students_form_teams = forms.BooleanField(label=_("Students form their teams by invitation"), required=False)

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        least, most = said.get("team_min"), said.get("team_max")
        if least and most and most < least:
            self.add_error("team_max", _("That is fewer than the least."))
        return said


class NameForm(forms.Form):
    name = forms.CharField(label=_("Name of the team"), max_length=LONGEST_NAME)

    def clean_name(self) -> str:
        """One line, without characters that hide or turn the text beside it: students write it, staff read it."""
        name = plain(self.cleaned_data["name"])
        if not name:
            raise forms.ValidationError(_("Write a name that people can read."))
        return name


class InviteForm(forms.Form):
    email = forms.CharField(
        label=_("A classmate’s address"), max_length=254, help_text=_("As it stands on the course’s roster.")
    )


class NewTeamForm(NameForm):
    """By staff: with the first members."""

    members = forms.ModelMultipleChoiceField(
        label=_("Members"),
        queryset=Enrollment.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Those who are in no team yet."),
    )

    def __init__(self, course: Course, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        alone = course.enrollments.filter(role=Role.STUDENT, status=EnrollmentStatus.ACTIVE, team=None)
        members = self.fields["members"]
        assert isinstance(members, forms.ModelMultipleChoiceField)  # noqa: S101 - for the type
        members.queryset = alone.order_by("name", "pk")


class MoveForm(forms.Form):
    team = forms.ModelChoiceField(
        label=_("Team"), queryset=Team.objects.none(), required=False, empty_label=_("in no team")
    )
    why = forms.CharField(label=_("Reason"), max_length=300, required=False)

    def __init__(self, course: Course, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        team = self.fields["team"]
        assert isinstance(team, forms.ModelChoiceField)  # noqa: S101 - for the type
        team.queryset = course.teams.filter(closed_at=None)
