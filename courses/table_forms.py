"""The first step of every list that staff bring in: a file or pasted lines, read at once so that it can be refused."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from courses import tables
from courses.table_words import unreadable_words
from courses.tables import NotATable


class UnrepeatedText(forms.Textarea):
    """What was pasted is never written back into a page, not even beside its error."""

    def format_value(self, value: object) -> str:
        return ""


class ListForm(forms.Form):
    file = forms.FileField(
        label=_("A file"), required=False, help_text=_("CSV or XLSX, with or without headings, in any encoding.")
    )
    pasted = forms.CharField(
        label=_("Or paste the lines"),
        required=False,
        strip=False,
        widget=UnrepeatedText(attrs={"rows": 5, "spellcheck": "false", "autocomplete": "off"}),
        help_text=_("One per line, or cells as you copy them from a spreadsheet."),
    )
    nothing = _("Choose a file, or paste the lines.")

    content = b""

    def prepared(self, pasted: str) -> str:
        """What was pasted, before it is read as a table."""
        return pasted

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        upload: UploadedFile | None = said.get("file")
        pasted: str = said.get("pasted") or ""
        field = "file" if upload else "pasted"
        if upload and pasted.strip():
            self.add_error("pasted", _("A file or pasted lines: take one of the two."))
            return said
        self.content = upload.read() if upload else self.prepared(pasted).encode()
        try:
            tables.read(self.content)
        except NotATable as error:
            self.add_error(field, unreadable_words(error) if upload or pasted.strip() else self.nothing)
        return said
