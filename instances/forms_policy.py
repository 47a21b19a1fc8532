"""What instructors type about unused machines, as rules and back. Bounds and their reasons are `policy_rules.py`."""

from collections.abc import Mapping, Sequence
from datetime import time
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from instances.idle import Limits
from instances.policy_rules import HOUR, MINUTE, WINDOWS_MOST, Night, Rules, Window, Wrong
from instances.policy_words import fault_words

NIGHT = ("night_begins", "night_ends", "night_quiet", "night_answer")
MOMENT = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


def minutes(label: Any, help_text: Any = "", *, required: bool = True) -> forms.DecimalField:
    return forms.DecimalField(
        label=label, help_text=help_text, required=required, min_value=0, max_digits=6, decimal_places=1
    )


class PolicyForm(forms.Form):
    quiet = minutes(_("Quiet time, minutes"), _("Nobody and nothing uses a machine for so long: it is stopped."))
    warn = minutes(_("Warned before, minutes"), _("Its student hears so long before that."))
    blind = minutes(_("Silent, minutes"), _("No report from a machine for so long: warned, then stopped."))
    hung = minutes(
        _("Busy without using anything, minutes"),
        _("A cell that waits for input, or hangs, counts as work for so long."),
    )
    boot = minutes(_("First report within, minutes"))
    keep_hours = forms.IntegerField(
        label=_("Kept by one click, hours at most"),
        min_value=0,
        max_value=1000,
        help_text=_("It is paid for in advance from the student’s own budget, so it cannot pass any cap."),
    )
    night_begins = forms.TimeField(
        label=_("The night begins"), required=False, widget=forms.TimeInput({"type": "time"})
    )
    night_ends = forms.TimeField(label=_("The night ends"), required=False, widget=forms.TimeInput({"type": "time"}))
    night_quiet = minutes(_("Quiet time at night, minutes"), required=False)
    night_answer = minutes(
        _("Time to answer “still training?”, minutes"),
        _("People sleep: give them longer than by day."),
        required=False,
    )
    night_unattended = forms.DecimalField(
        label=_("Also ask machines at work that nobody touched for, hours"),
        required=False,
        min_value=0,
        max_digits=4,
        decimal_places=1,
        help_text=_(
            "Leave empty, and a machine at work is never asked. With it, work that nobody confirms is stopped."
        ),
    )
    save_script = forms.CharField(
        label=_("Script before a stop"),
        required=False,
        max_length=2000,
        strip=False,
        widget=forms.Textarea({"rows": 4, "spellcheck": "false"}),
        help_text=_("Runs with /bin/sh as the student, in the home folder. Open notebooks are saved anyway."),
    )
    save_seconds = forms.IntegerField(
        label=_("Saving may take, seconds"),
        min_value=0,
        max_value=10_000,
        help_text=_("Then the machine stops, whatever the script does."),
    )

    def clean(self) -> dict[str, Any]:
        """The night is all there or not at all."""
        said = super().clean() or {}
        given = [name for name in (*NIGHT, "night_unattended") if said.get(name) is not None]
        for name in NIGHT:
            if given and said.get(name) is None and name not in self.errors:
                self.add_error(name, _("Needed for the night; or leave all of the night empty."))
        return said


class WindowForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=60)
    starts_at = forms.DateTimeField(label=_("From"), widget=MOMENT)
    ends_at = forms.DateTimeField(label=_("To"), widget=MOMENT)
    quiet = minutes(_("Quiet time, minutes"), required=False)
    warn = minutes(_("Warned before, minutes"), required=False)
    hung = minutes(_("Busy without using anything, minutes"), required=False)


Windows = forms.formset_factory(WindowForm, extra=1, max_num=WINDOWS_MOST, validate_max=True, can_delete=True)


class DecisionForm(forms.Form):
    """Asked with the preview: why, and for whom it holds."""

    why = forms.CharField(label=_("Reason"), max_length=300, help_text=_("Students and staff read it."))
    to_running = forms.ChoiceField(
        label=_("Machines that are on now"),
        choices=(
            ("no", _("keep the limits they started with, until they stop")),
            ("yes", _("follow the new limits at once")),
        ),
        widget=forms.RadioSelect,
    )


# ------------------------------------------------------------------ to rules and back
def initial_of(rules: Rules) -> dict[str, Any]:
    limits, night = rules.limits, rules.night
    everyday = {name: _minutes(getattr(limits, name)) for name in ("quiet", "warn", "blind", "hung", "boot")}
    more = {"keep_hours": rules.keep_hours, "save_script": rules.save_script, "save_seconds": rules.save_seconds}
    if night is None:
        return {**everyday, **more}
    return {
        **everyday,
        **more,
        "night_begins": _time(night.begins),
        "night_ends": _time(night.ends),
        "night_quiet": _minutes(night.quiet),
        "night_answer": _minutes(night.answer),
        "night_unattended": None if night.unattended is None else Decimal(night.unattended) / HOUR,
    }


def initial_windows(rules: Rules) -> list[dict[str, Any]]:
    return [
        {
            "name": w.name,
            "starts_at": w.starts_at,
            "ends_at": w.ends_at,
            **{name: _minutes(getattr(w, name)) for name in ("quiet", "warn", "hung")},
        }
        for w in rules.windows
    ]


def rules_from(said: Mapping[str, Any], windows: Sequence[Mapping[str, Any]]) -> Rules:
    """From cleaned data of both forms."""
    names = ("quiet", "warn", "blind", "hung", "boot")
    return Rules(
        limits=Limits(**{name: _seconds(said[name]) or 0 for name in names}),
        windows=tuple(_window(one) for one in windows),
        night=_night(said) if said.get("night_begins") is not None else None,
        keep_hours=said["keep_hours"],
        save_script=said["save_script"].replace("\r\n", "\n").strip(),
        save_seconds=said["save_seconds"],
    )


def chosen_windows(formset: forms.BaseFormSet) -> list[forms.Form]:
    """Those that are filled in and not to be removed, in the order of their beginning. Valid ones only."""
    kept = [form for form in formset.forms if form.cleaned_data and not form.cleaned_data.get("DELETE")]
    return sorted(kept, key=lambda form: form.cleaned_data["starts_at"])


def _window(said: Mapping[str, Any]) -> Window:
    limits = {name: _seconds(said.get(name)) for name in ("quiet", "warn", "hung")}
    return Window(said["name"], said["starts_at"], said["ends_at"], **limits)


def _night(said: Mapping[str, Any]) -> Night:
    unattended = said.get("night_unattended")
    return Night(
        begins=_minute_of_day(said["night_begins"]),
        ends=_minute_of_day(said["night_ends"]),
        quiet=_seconds(said["night_quiet"]) or 0,
        answer=_seconds(said["night_answer"]) or 0,
        unattended=None if unattended is None else int(unattended * HOUR),
    )


def put_errors(faults: Sequence[Wrong], form: forms.Form, windows: Sequence[forms.Form]) -> None:
    """Each fault next to the field that it is about."""
    for fault in faults:
        words, (head, *rest) = fault_words(fault), fault.where.split(".")
        if head == "windows" and rest:
            windows[int(rest[0])].add_error(rest[1], words)
        elif head == "night":
            form.add_error(f"night_{rest[0]}", words)
        else:
            form.add_error({"save": "save_seconds", "windows": None}.get(head, head), words)


def _minutes(seconds: float | None) -> Decimal | None:
    return None if seconds is None else (Decimal(seconds) / MINUTE).normalize() + Decimal(0)


def _seconds(told: Decimal | None) -> int | None:
    return None if told is None else int(told * MINUTE)


def _minute_of_day(at: time) -> int:
    return at.hour * 60 + at.minute


def _time(minute: int) -> time:
    return time(minute // 60, minute % 60)
