"""What staff decide about disks: nightly copies, and archiving those that nobody uses."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from instances.models import DiskPolicy


class DiskPolicyForm(forms.ModelForm):
    class Meta:
        model = DiskPolicy
        fields = ("nightly_keep", "archive_days", "archive_warn_days", "download_days")
        labels = {
            "nightly_keep": _("Nightly copies to keep of each disk"),
            "archive_days": _("Archive a disk that was unused for so many days"),
            "archive_warn_days": _("Warn its owner so many days before"),
            "download_days": _("Days for which packed files can be downloaded"),
        }
        help_texts = {
            "nightly_keep": _("0: none. Made at 3 in the morning, of disks that changed; paid by their owners."),
            "archive_days": _("0: never. The disk becomes a copy, which costs less and can be restored at any time."),
            "download_days": _("Of files that a student takes along from a machine’s page; then they are deleted."),
        }

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        after, warn = said.get("archive_days"), said.get("archive_warn_days")
        if after and warn is not None and not 1 <= warn <= after:
            self.add_error("archive_warn_days", _("At least one day, and not more than the days above."))
        return said
