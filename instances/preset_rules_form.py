"""Who may use a preset, how many at once and for how long, from which image and market: its further fields."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from courses.models import Course
from credits.entitlement import BadRule, parse
from instances.launch_rules import MAY_LAUNCH
from instances.models import Preset

_LINES = 6


class PresetRulesForm(forms.Form):
    """Shown below `PresetForm`, on the same page; both are saved together."""

    roles = forms.MultipleChoiceField(
        label=_("For whom"),
        choices=[("student", _("Students")), ("ta", _("TAs")), ("instructor", _("Instructors"))],
        widget=forms.CheckboxSelectMultiple,
        initial=sorted(MAY_LAUNCH),
        required=False,
        help_text=_("None chosen: everybody who may launch at all."),
    )
    sections = forms.CharField(
        label=_("Only sections"), required=False, max_length=300, help_text=_("Separated by commas. Empty: all.")
    )
    teams = forms.CharField(
        label=_("Only teams"), required=False, max_length=500, help_text=_("Their names, separated by commas.")
    )
    with_team = forms.BooleanField(label=_("Only people in a team"), required=False)
    per_team = forms.IntegerField(
        label=_("Machines at once for one team"), required=False, min_value=1, max_value=200, help_text=_("Empty: any.")
    )
    longest_hours = forms.FloatField(
        label=_("Hours of one run at most"),
        required=False,
        min_value=0.25,
        max_value=24 * 14,
        help_text=_("Then it stops, used or not. Empty: as long as it is used and paid for."),
    )
    needs_approval = forms.BooleanField(label=_("The staff allows each launch"), required=False)
    market = forms.ChoiceField(label=_("Market"), choices=Preset.Market.choices, required=False)
    images = forms.CharField(
        label=_("Images of other regions"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("One per line: us-west-2 = ami-0123456789abcdef0"),
    )
    image_parameters = forms.CharField(
        label=_("Image by SSM parameter"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("One per line, used when no image is named above; the first that this region has is taken."),
    )
    alternative_name = forms.CharField(label=_("Free alternative"), required=False, max_length=60)
    alternative_url = forms.URLField(label=_("Its address"), required=False, assume_scheme="https")

    def __init__(self, course: Course, preset: Preset | None, *args: Any, **kwargs: Any) -> None:
        self.course = course
        kwargs["initial"] = {**(_initial(preset) if preset else {}), **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)

    def clean_market(self) -> str:
        return self.cleaned_data["market"] or Preset.Market.ON_DEMAND

    def clean_sections(self) -> list[str]:
        names = _names(self.cleaned_data["sections"])
        known = set(self.course.enrollments.exclude(section="").values_list("section", flat=True).distinct())
        return _must_exist(names, known, _("Nobody is in section %(name)s. There are: %(known)s."))

    def clean_teams(self) -> list[str]:
        known = set(self.course.teams.values_list("name", flat=True))
        return _must_exist(
            _names(self.cleaned_data["teams"]), known, _("There is no team %(name)s. There are: %(known)s.")
        )

    def clean_images(self) -> dict[str, str]:
        found = {}
        for line in _lines(self.cleaned_data["images"]):
            region, is_pair, image = (part.strip() for part in line.partition("="))
            if not is_pair or not region or not image.startswith("ami-"):
                raise forms.ValidationError(_("Write region = ami-…, not “%(line)s”.") % {"line": line[:60]})
            found[region] = image
        return found

    def clean_image_parameters(self) -> list[str]:
        names = _lines(self.cleaned_data["image_parameters"])
        wrong = next((name for name in names if not name.startswith("/")), None)
        if wrong:
            raise forms.ValidationError(_("A parameter's name begins with /, not “%(name)s”.") % {"name": wrong[:60]})
        return names

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        if said.get("alternative_name") and not said.get("alternative_url") and "alternative_url" not in self.errors:
            self.add_error("alternative_url", _("Where is it? An address belongs to it."))
        try:
            parse(self._audience())
        except BadRule as error:
            self.add_error("roles", str(error))
        return said

    def _audience(self) -> dict[str, Any]:
        said = self.cleaned_data
        return {
            "roles": said.get("roles") or sorted(MAY_LAUNCH),
            "sections": said.get("sections") or [],
            "teams": said.get("teams") or [],
            "with_team": bool(said.get("with_team")),
        }

    def facts(self) -> dict[str, Any]:
        """For `presets.make_preset` and `change_preset`, beside those of `PresetForm`."""
        said = self.cleaned_data
        names = ("per_team", "needs_approval", "market", "images", "image_parameters")
        hours = said["longest_hours"]
        return {
            **{name: said[name] for name in names},
            "alternative_name": said["alternative_name"],
            "alternative_url": said["alternative_url"],
            "longest_seconds": round(hours * 3600) if hours else None,
            "audience": self._audience(),
        }


def _initial(preset: Preset) -> dict[str, Any]:
    names = ("per_team", "needs_approval", "market", "alternative_name", "alternative_url")
    rule = preset.audience
    return {
        **{name: getattr(preset, name) for name in names},
        "longest_hours": preset.longest_seconds / 3600 if preset.longest_seconds else None,
        "roles": rule.get("roles", sorted(MAY_LAUNCH)),
        "sections": ", ".join(rule.get("sections", [])),
        "teams": ", ".join(rule.get("teams", [])),
        "with_team": rule.get("with_team", False),
        "images": "\n".join(f"{region} = {image}" for region, image in preset.images.items()),
        "image_parameters": "\n".join(preset.image_parameters),
    }


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _must_exist(names: list[str], known: set[str], words: Any) -> list[str]:
    for name in names:
        if name not in known:
            shown = ", ".join(sorted(known)[:_LINES]) or "–"
            raise forms.ValidationError(words % {"name": name, "known": shown})
    return names
