"""What staff say while they bring in codes: the list, which column of it, and into which batch."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from courses.models import Course
from courses.table_forms import ListForm
from courses.tables import Table
from credits import imports
from credits.imports import Mapping
from credits.models import CodeBatch


class CodeListForm(ListForm):
    nothing = _("Choose a file, or paste the codes.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["pasted"].label = _("Or paste the codes")


class MappingForm(forms.Form):
    column = forms.TypedChoiceField(label=_("Which column holds the codes?"), coerce=int, widget=forms.RadioSelect)
    has_heading = forms.BooleanField(label=_("The first row is a heading"), required=False)

    def __init__(self, table: Table, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        column = self.fields["column"]
        assert isinstance(column, forms.TypedChoiceField)  # noqa: S101 - for the type
        column.choices = [(index, imports.described(table, index)) for index in range(min(table.width, 50))]

    def mapping(self) -> Mapping:
        return Mapping(self.cleaned_data["column"], self.cleaned_data["has_heading"])


class TargetForm(forms.Form):
    """An existing batch, or a new one: then its own form counts as well."""

    NEW = "new"
    target = forms.ChoiceField(label=_("Into which batch?"))

    def __init__(self, course: Course, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.batches = {str(batch.pk): batch for batch in course.code_batches.order_by("-created_at", "-pk")}
        target = self.fields["target"]
        assert isinstance(target, forms.ChoiceField)  # noqa: S101 - for the type
        known = [
            (pk, _("%(name)s: $%(value)s each") % {"name": batch.name, "value": f"{batch.value_usd:,.2f}"})
            for pk, batch in self.batches.items()
        ]
        target.choices = [(self.NEW, _("A new batch")), *known]

    def batch(self) -> CodeBatch | None:
        """None: a new one."""
        return self.batches.get(self.cleaned_data["target"])
