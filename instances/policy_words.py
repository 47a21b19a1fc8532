"""A course's rules in words: what they are, what an edit changes, what is wrong with a proposed one."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from instances.policy_rules import HOUR, MINUTE, Night, Rules, Window, Wrong

Clock = Callable[[datetime], str]


def span(seconds: float) -> str:
    """ "30 min", "1 h 30 min", "90 s": limits are told exactly."""
    whole = int(seconds)
    if whole % MINUTE:
        return _("%(n)s s") % {"n": whole}
    hours, minutes = divmod(whole // MINUTE, 60)
    said = [_("%(n)s h") % {"n": hours}] if hours else []
    return " ".join([*said, *([_("%(n)s min") % {"n": minutes}] if minutes or not hours else [])])


def time_of_day(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def changes(before: Rules, after: Rules, clock: Clock) -> list[str]:
    """One sentence per thing that becomes different; empty: nothing does."""
    return [*_everyday(before, after), *_windows(before, after, clock), *_night(before.night, after.night)]


def _everyday(before: Rules, after: Rules) -> Iterator[str]:
    names = {
        "quiet": _("Stopped when nobody uses it for"),
        "warn": _("Warned before"),
        "blind": _("Warned when it is silent for"),
        "hung": _("A cell that uses nothing counts as work for"),
        "boot": _("First report expected within"),
    }
    for name, label in names.items():
        old, new = getattr(before.limits, name), getattr(after.limits, name)
        if old != new:
            yield _change(label, span(old), span(new))
    if before.keep_hours != after.keep_hours:
        yield _change(
            _("Kept on by one click for at most"), span(before.keep_hours * HOUR), span(after.keep_hours * HOUR)
        )
    if before.save_seconds != after.save_seconds:
        yield _change(_("Saving before a stop may take"), span(before.save_seconds), span(after.save_seconds))
    if before.save_script != after.save_script:
        yield _script_words(before.save_script, after.save_script)


def _script_words(old: str, new: str) -> str:
    lines = len(new.splitlines())
    if not new:
        return _("Nothing of the course's own runs before a stop any more.")
    said = ngettext("a script of %(n)s line", "a script of %(n)s lines", lines) % {"n": lines}
    return (_("Before a stop runs another: %(script)s.") if old else _("Before a stop runs: %(script)s.")) % {
        "script": said
    }


def _change(label: str, old: str, new: str) -> str:
    return _("%(what)s: %(old)s → %(new)s") % {"what": label, "old": old, "new": new}


def _windows(before: Rules, after: Rules, clock: Clock) -> Iterator[str]:
    old, new = list(before.windows), list(after.windows)
    for window in new:
        if window not in old:
            yield _("New: %(window)s") % {"window": window_words(window, clock)}
    for window in old:
        if window not in new:
            yield _("No more: %(window)s") % {"window": window_words(window, clock)}


def window_words(window: Window, clock: Clock) -> str:
    parts = [(_("quiet time %(n)s"), window.quiet), (_("warned %(n)s before"), window.warn)]
    parts.append((_("a cell that uses nothing counts for %(n)s"), window.hung))
    said = ", ".join(text % {"n": span(value)} for text, value in parts if value is not None)
    values = {"name": window.name, "from": clock(window.starts_at), "to": clock(window.ends_at), "what": said}
    return _("“%(name)s”, %(from)s to %(to)s: %(what)s") % values


def _night(before: Night | None, after: Night | None) -> Iterator[str]:
    if before == after:
        return
    yield night_words(after) if after else _("No night guard any more: the night is like the day.")


def night_words(night: Night) -> str:
    values = {
        "from": time_of_day(night.begins),
        "to": time_of_day(night.ends),
        "quiet": span(night.quiet),
        "answer": span(night.answer),
    }
    said = _(
        "From %(from)s to %(to)s a machine that nobody uses is asked “still training?” and stops after %(quiet)s, with "
        "%(answer)s to answer."
    )
    said = said % values
    if night.unattended is None:
        return said
    more = _("A machine at work that nobody touched for %(n)s is asked, too, and stops unless somebody answers.")
    return f"{said} {more % {'n': span(night.unattended)}}"


def fault_words(fault: Wrong) -> str:
    hours_or_seconds = {"keep_hours": HOUR}.get(fault.where, 1)
    values = {"low": span(fault.low * hours_or_seconds), "high": span(fault.high * hours_or_seconds)}
    return {
        "bounds": _("Between %(low)s and %(high)s, please."),
        "warn": _("At most %(high)s here: a longer warning would greet people at work."),
        "order": _("It must end after it begins."),
        "length": _("At most %(days)s days: for longer, change the everyday limits.") % {"days": int(fault.high)},
        "name": _("Give it a name that students understand."),
        "overlap": _("It overlaps another one: at any moment one may hold."),
        "empty": _("Say what is different then."),
        "many": _("At most %(n)s at a time.") % {"n": int(fault.high)},
    }[fault.why] % values


def in_words(rules: Rules, clock: Clock) -> Sequence[str]:
    """What holds, for those who may only look."""
    limits = rules.limits
    return [
        _("Nobody uses it for %(quiet)s: stopped, warned %(warn)s before.")
        % {"quiet": span(limits.quiet), "warn": span(limits.warn)},
        _("Silent for %(blind)s: warned, then stopped. A cell that uses nothing counts as work for %(hung)s.")
        % {"blind": span(limits.blind), "hung": span(limits.hung)},
        _("One click keeps a machine for %(n)s at most.") % {"n": span(rules.keep_hours * HOUR)},
        *(window_words(window, clock) for window in rules.windows),
        *([night_words(rules.night)] if rules.night else []),
    ]
