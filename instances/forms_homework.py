"""What staff type about homework: where it may come from, and the links of the home page."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from courses.models import Course
from instances.homework import asked_for, wrong_words
from instances.homework_rules import BadLink, Wrong, source
from instances.models import Preset

_FIELD = {Wrong.BRANCH: "branch", Wrong.PATH: "path"}


class SourceForm(forms.Form):
    address = forms.CharField(
        label=_("Allow repositories at or below"),
        max_length=200,
        widget=forms.TextInput(attrs={"placeholder": "https://github.com/your-course"}),
    )

    def clean_address(self) -> str:
        try:
            return source(self.cleaned_data["address"])
        except BadLink as error:
            raise forms.ValidationError(wrong_words(error)) from None


class HomeworkForm(forms.Form):
    title = forms.CharField(label=_("Title"), max_length=80, help_text=_("As students read it: “Homework 3”."))
    preset = forms.ModelChoiceField(label=_("Machine"), queryset=Preset.objects.none(), empty_label=None)
    repo = forms.CharField(label=_("Repository"), max_length=200)
    branch = forms.CharField(
        label=_("Branch"), max_length=100, required=False, help_text=_("Empty: the repository's own.")
    )
    path = forms.CharField(
        label=_("File to open"), max_length=200, required=False, help_text=_("Inside the repository: hw3/hw3.ipynb")
    )

    def __init__(self, course: Course, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.course = course
        field = self.fields["preset"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - for the type
        field.queryset = Preset.objects.filter(course=course, enabled=True)

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                work = asked_for(self.course, {name: said[name] for name in ("repo", "branch", "path")})
            except BadLink as error:
                self.add_error(_FIELD.get(error.wrong, "repo"), wrong_words(error))
            else:
                said |= {"repo": work.repo, "branch": work.branch, "path": work.path}
        return said
