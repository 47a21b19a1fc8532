"""What staff type about stock: which column, which batch, for whom, from when to when. Fields only; verbs decide."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from courses.models import Course, Enrollment, EnrollmentStatus, Role
from credits import entitlement
from credits.batches import BatchFacts
from credits.entitlement import Rule
from credits.models import CodeBatch, Purpose


class DayInput(forms.DateInput):
    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class MomentInput(forms.DateTimeInput):
    """In the time zone that the page is shown in."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


class WhyForm(forms.Form):
    """A reason that somebody will read."""

    why = forms.CharField(
        label=_("Reason"),
        max_length=300,
        error_messages={"required": _("Say why: the person it concerns reads it.")},
    )


class BatchForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=120, help_text=_("As students read it: “Welcome credit”."))
    value_usd = forms.DecimalField(label=_("USD per code"), min_value=1, max_value=100_000, decimal_places=2)
    purpose = forms.ChoiceField(
        label=_("For"),
        choices=[
            (Purpose.EVERYONE.value, _("Everyone: each person claims one")),
            (Purpose.TEAMS.value, _("Teams: each team claims one")),
            (Purpose.PRIZE.value, _("Prizes: staff award them")),
            (Purpose.RESERVE.value, _("Reserve: staff give them one by one")),
        ],
    )
    promotion = forms.CharField(
        label=_("Promotion"),
        max_length=120,
        required=False,
        help_text=_("AWS’s name for it, if you know it. One account cannot take two codes of one promotion."),
    )
    redeem_by = forms.DateField(label=_("AWS takes the codes until"), required=False, widget=DayInput())
    expires_on = forms.DateField(label=_("The credit itself ends on"), required=False, widget=DayInput())
    replace_at_once = forms.BooleanField(
        label=_("Replace a person’s first bad code at once, without asking staff"), required=False, initial=True
    )

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        first, last = said.get("redeem_by"), said.get("expires_on")
        if first and last and last < first:
            self.add_error("expires_on", _("That is before the last day to redeem."))
        return said

    def facts(self) -> BatchFacts:
        return BatchFacts(**self.cleaned_data)

    @staticmethod
    def initial_of(batch: CodeBatch) -> dict[str, object]:
        return {name: getattr(batch, name) for name in BatchForm.base_fields}


class RuleForm(forms.Form):
    """Who may claim from a batch."""

    roles = forms.MultipleChoiceField(
        label=_("Roles"),
        choices=[one for one in Role.choices if one[0] != Role.AUDITOR],  # guests look only
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one: with none, nobody could claim.")},
    )
    sections = forms.MultipleChoiceField(
        label=_("Sections"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None chosen: all sections."),
    )
    with_team = forms.BooleanField(label=_("Only people in a team"), required=False)
    teams = forms.MultipleChoiceField(
        label=_("Teams"), required=False, widget=forms.CheckboxSelectMultiple, help_text=_("None chosen: all teams.")
    )
    enrolled_before = forms.DateField(
        label=_("Enrolled before"),
        required=False,
        widget=DayInput(),
        help_text=_("Who came on that day or later is too late. Empty: no limit."),
    )
    waitlist = forms.BooleanField(label=_("People on the waitlist, too"), required=False)

    def __init__(self, course: Course, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        lines = Enrollment.objects.filter(course=course).exclude(status=EnrollmentStatus.DROPPED)
        sections = sorted(set(lines.order_by().values_list("section", flat=True)) - {""})
        teams = course.teams.values_list("name", flat=True)
        kept: Rule | None = kwargs.get("initial", {}).get("rule")
        self._offer("sections", [*sections, *(kept.sections if kept else ())])
        self._offer("teams", [*teams, *(kept.teams if kept else ())])
        if kept:
            self.initial.update(kept.as_data())

    def _offer(self, name: str, names: list[str]) -> None:
        """Names in the rule that the roster no longer has are offered, too: saving must not widen it unseen."""
        field = self.fields[name]
        assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101 - for the type
        field.choices = [(one, one) for one in dict.fromkeys(names)]

    def rule(self) -> Rule:
        return entitlement.parse(self.cleaned_data)


class TimesForm(forms.Form):
    opens_at = forms.DateTimeField(
        label=_("Opens"), required=False, widget=MomentInput(), help_text=_("Empty: at once.")
    )
    closes_at = forms.DateTimeField(
        label=_("Closes"), required=False, widget=MomentInput(), help_text=_("Empty: stays open.")
    )
