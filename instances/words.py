"""A decision about an unused machine as one sentence: the same for row, mail, page and log. Formats no times."""

from collections.abc import Callable

from django.utils.translation import gettext as _

from instances.idle import Cause, Decision, Verdict

Clock = Callable[[float], str]  # seconds as in the decision -> "18:40" in the reader's timezone


def sentence(decision: Decision, clock: Clock) -> str:
    """Why, and what happens next."""
    why = _why(decision, clock)
    if decision.verdict is Verdict.STOP:
        return _("Stopped: %(why)s") % {"why": why}
    if decision.verdict is Verdict.WARN and decision.stops_at is not None:
        return _("%(why)s It stops at %(time)s.") % {"why": why, "time": clock(decision.stops_at)}
    return why


def _why(decision: Decision, clock: Clock) -> str:
    if decision.cause is Cause.BOOTING or decision.since is None:
        return _("The machine is booting.")
    return _reasons()[decision.cause] % {"time": clock(decision.since)}


def _reasons() -> dict[Cause, str]:
    return {
        Cause.BUSY: _("The machine is in use."),
        Cause.RECENT: _("Last used at %(time)s."),
        Cause.HUNG: _("A cell has been running since %(time)s without using GPU, CPU, disk or network."),
        Cause.KEPT: _("Kept until %(time)s, as asked."),
        Cause.QUIET: _("Nothing has used this machine since %(time)s."),
        Cause.BLIND: _("We have heard nothing from this machine since %(time)s."),
        Cause.UNATTENDED: _("It works, but nobody has been here since %(time)s."),
        Cause.DONE: _("what you waited for ended at %(time)s, and you asked to stop then."),
        Cause.RECLAIM: _("AWS takes this Spot machine back at %(time)s: save your work now."),
    }
