"""What staff say about a preset: its purpose, the types in order of preference, and what it may cost."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from cloud.prices import facts_of
from instances.models import Preset
from instances.pricing import all_prices

CHOICES = 4  # types per preset: the first, and what to try when AWS has none
IMAGE = re.compile(r"^ami-(?:[0-9a-f]{8}|[0-9a-f]{17})$")


class PresetForm(forms.Form):
    name = forms.CharField(
        label=_("Name"), max_length=80, help_text=_("As students read it: “Homework: T4 16 GB”. The GPU belongs in it.")
    )
    purpose = forms.CharField(label=_("What it is for"), max_length=200, required=False)
    image_id = forms.CharField(
        label=_("Image"), max_length=60, required=False, help_text=_("The AMI that the machine starts from: ami-…")
    )
    disk_gb = forms.IntegerField(label=_("Disk in GB"), min_value=8, max_value=16_384, initial=64)
    lease_minutes = forms.IntegerField(
        label=_("One session in minutes"),
        min_value=15,
        max_value=24 * 60,
        initial=240,
        help_text=_("So much is set aside at once, and renewed while the machine is used."),
    )
    ceiling_usd_hour = forms.DecimalField(
        label=_("At most, USD an hour"),
        required=False,
        min_value=Decimal("0.01"),
        max_value=1000,
        decimal_places=6,
        help_text=_("No type above it is ever tried. Empty: the dearest of the types below."),
    )
    per_person = forms.IntegerField(label=_("Machines at once for one person"), min_value=1, max_value=50, initial=1)
    position = forms.IntegerField(label=_("Place in the list"), min_value=0, max_value=999, required=False)
    enabled = forms.BooleanField(label=_("Students may launch it"), required=False, initial=True)

    def __init__(self, preset: Preset | None, *args: Any, **kwargs: Any) -> None:
        self.preset = preset
        kwargs["initial"] = {**(_initial(preset) if preset else {}), **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)
        self.prices = all_prices()
        known = _types(preset, self.prices)
        words = [_("First choice"), *[_("Else")] * (CHOICES - 1)]
        for n, label in enumerate(words):
            self.fields[f"type_{n}"] = forms.ChoiceField(
                label=label, required=n == 0, choices=[("", _("– none –")), *known]
            )
        types = [f"type_{n}" for n in range(CHOICES)]
        self.order_fields(["name", "purpose", *types, "ceiling_usd_hour", "image_id", "disk_gb", "lease_minutes"])

    def clean_image_id(self) -> str:
        image = str(self.cleaned_data["image_id"]).strip()
        before = self.preset.image_id if self.preset else ""
        if image and image != before and not IMAGE.match(image):
            raise forms.ValidationError(_("An AMI looks like ami-0abc1234 or ami-0123456789abcdef0."))
        if not image and not (self.preset and (self.preset.images or self.preset.image_parameters)):
            raise forms.ValidationError(_("Say which image: without one nothing can start."))
        return image

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        types = list(self._wanted())
        prices = [price for name in types if (price := self.prices.get(name)) is not None]
        for n, name in enumerate(types):
            if types.index(name) != n:
                self.add_error(f"type_{self._place(name, last=True)}", _("This type is chosen already."))
        if prices and not said.get("ceiling_usd_hour") and "ceiling_usd_hour" not in self.errors:
            said["ceiling_usd_hour"] = max(prices)
        ceiling = said.get("ceiling_usd_hour")
        for name in dict.fromkeys(types):
            self._judge(name, ceiling)
        return said

    def _wanted(self) -> Iterator[str]:
        return (name for n in range(CHOICES) if (name := self.cleaned_data.get(f"type_{n}")))

    def _place(self, name: str, *, last: bool = False) -> int:
        places = [n for n in range(CHOICES) if self.cleaned_data.get(f"type_{n}") == name]
        return places[-1 if last else 0]

    def _judge(self, name: str, ceiling: Decimal | None) -> None:
        """A type without a price is unknown, never free; one above the ceiling would never be tried."""
        price = self.prices.get(name)
        if price is None:
            self.add_error(f"type_{self._place(name)}", _("There is no price for this type, so it cannot be launched."))
        elif ceiling is not None and price > ceiling:
            words = _("%(type)s costs $%(price)s an hour: raise the ceiling, or drop the type.")
            self.add_error("ceiling_usd_hour", words % {"type": name, "price": f"{price.normalize():f}"})

    def facts(self) -> dict[str, Any]:
        """For `presets.make_preset` and `change_preset`."""
        said = self.cleaned_data
        names = ("name", "purpose", "image_id", "disk_gb", "ceiling_usd_hour", "per_person", "enabled")
        facts = {name: said[name] for name in names}
        facts |= {"instance_types": list(self._wanted()), "lease_seconds": said["lease_minutes"] * 60}
        return facts if said["position"] is None else {**facts, "position": said["position"]}


def _initial(preset: Preset) -> dict[str, Any]:
    names = ("name", "purpose", "image_id", "disk_gb", "per_person", "position", "enabled")
    types = {f"type_{n}": name for n, name in enumerate(preset.instance_types[:CHOICES])}
    return {
        **{name: getattr(preset, name) for name in names},
        **types,
        "ceiling_usd_hour": preset.ceiling_usd_hour.normalize(),
        "lease_minutes": preset.lease_seconds // 60,
    }


def _types(preset: Preset | None, prices: dict[str, Decimal | None]) -> list[tuple[str, str]]:
    """The cheapest first, with GPU and price. What the preset has and the price list has not stays choosable."""
    priced = sorted((price, name) for name, price in prices.items() if price is not None)
    known = [(name, _described(name, price)) for price, name in priced]
    strange = [name for name in (preset.instance_types if preset else []) if prices.get(name) is None]
    return [*known, *((name, str(_("%(type)s: no price") % {"type": name})) for name in strange)]


def _described(name: str, price: Decimal) -> str:
    facts = facts_of(name)
    gpu = f" · {facts.gpu_count.normalize():f} × {facts.gpu}, {facts.gpu_memory_gib:f} GiB" if facts else ""
    return f"{name}{gpu} · ${price.normalize():f}/h"
