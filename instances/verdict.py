"""What a machine is doing right now, for its student: "Busy: kernel 3 uses the GPU at 64 %", "Quiet for 22 min".

Says only what the newest report showed; why and when it stops is `idle.py` and `words.py`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from instances.idle import Cause, Decision
from instances.policy_words import span

CPU_SHOWN = 10  # per cent of a core: as the floor of work


def present(decision: Decision, report: Mapping[str, Any], now: datetime) -> str:
    """One sentence; empty where the reason alone says it better."""
    if decision.cause is Cause.BUSY:
        return _busy_words(report)
    if decision.cause in (Cause.RECENT, Cause.QUIET) and decision.since is not None:
        minutes = int((now.timestamp() - decision.since) // 60) * 60
        return _("Quiet for %(span)s.") % {"span": span(minutes)} if minutes else ""
    if decision.cause is Cause.UNATTENDED:
        return _busy_words(report)
    return ""


def _busy_words(report: Mapping[str, Any]) -> str:
    doings, percent = report.get("doings") or [], report.get("gpu_percent")
    on_gpu = [one["name"] for one in doings if one["gpu"]]
    if percent and on_gpu:
        return _("Busy: %(name)s uses the GPU at %(n)s %%.") % {"name": _some(on_gpu), "n": percent}
    if percent:
        return _("Busy: the GPU is used at %(n)s %%.") % {"n": percent}
    busiest = max(doings, key=lambda one: one["cpu"], default=None)
    if busiest and busiest["cpu"] >= CPU_SHOWN:
        return _("Busy: %(name)s uses %(n)s %% of a CPU core.") % {"name": busiest["name"], "n": busiest["cpu"]}
    return ""


def _some(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    return _("%(first)s and %(n)s more") % {"first": names[0], "n": len(names) - 1}
