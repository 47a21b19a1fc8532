"""The one field of a public SSH key."""

from django import forms
from django.utils.translation import gettext_lazy as _

from instances.ssh_keys import LONGEST


class SshKeyForm(forms.Form):
    public_key = forms.CharField(
        label=_("Public key"),
        help_text=_("The one line of a file such as ~/.ssh/id_ed25519.pub."),
        max_length=LONGEST * 2,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocomplete": "off"}),
    )
