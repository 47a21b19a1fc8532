"""What staff ask about another quiet time."""

from django import forms
from django.utils.translation import gettext_lazy as _


class WhatIfForm(forms.Form):
    quiet = forms.IntegerField(
        label=_("Minutes without use until a machine stops"),
        min_value=2,
        max_value=480,
        error_messages={"invalid": _("Type whole minutes, like 20."), "required": _("Type whole minutes, like 20.")},
    )
