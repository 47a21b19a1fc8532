"""What an alarm says: a title, and two sentences with what to do; to the person it is about, or to staff about them."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext


def words(kind: str, facts: Mapping[str, Any], who: str = "") -> tuple[str, str]:
    """Title and text. `who`: the person it is about, for those who look after several; empty: said to that person."""
    title, text = _WORDS[kind](facts, who)
    return title[:200], text[:600]


def _threshold(facts: Mapping[str, Any], who: str) -> tuple[str, str]:
    said = {
        "name": facts["name"],
        "who": who,
        "percent": facts["percent"],
        "used": _usd(facts["used_usd"]),
        "amount": _usd(facts["amount_usd"]),
    }
    if facts["level"] == "person" and who:
        title = _("%(who)s has used %(percent)s %% of their budget") % said
        what = _("They are told themselves, and can ask you for more.")
    elif facts["level"] == "person":
        title = _("%(percent)s %% of your budget is used") % said
        what = _("Stop what you do not need, and ask the course staff before it is gone.")
    else:
        title = _("%(percent)s %% of the budget of %(name)s is used") % said
        what = {
            "team": _("Agree in the team what still has to run."),
            "course": _("Look at who spends most, or raise the budget."),
            "sponsor": _("No course below it can spend more than what is left."),
        }[facts["level"]]
    return title, " ".join((_("%(used)s of %(amount)s.") % said, what))


def _forecast(facts: Mapping[str, Any], who: str) -> tuple[str, str]:
    gone_on = date.fromisoformat(facts["gone_on"])
    said = {
        "name": who or facts["name"],
        "day": date_format(gone_on, "LONG_MONTH_DAY_FORMAT"),
        "rate": _usd(facts["rate_usd"]),
    }
    own = facts["level"] == "person" and not who
    title = (_("At this rate your budget is gone on %(day)s") if own else
             _("At this rate the budget of %(name)s is gone on %(day)s")) % said  # fmt: skip
    days = facts["days_early"]
    early = (
        ngettext("%(n)d week early", "%(n)d weeks early", days // 7) % {"n": days // 7}
        if days >= 14
        else ngettext("%(n)d day early", "%(n)d days early", days) % {"n": days}
    )
    return title, _("That is %(early)s. The last seven days cost %(rate)s a day.") % {**said, "early": early}


def _pace(facts: Mapping[str, Any], who: str) -> tuple[str, str]:
    said = {"today": _usd(facts["today_usd"]), "planned": _usd(facts["planned_usd"])}
    return _("The course spends faster than planned: %(today)s today") % said, _(
        "The plan has %(planned)s for a day. Days are counted in UTC. Look at what runs now."
    ) % said


def _unusual(facts: Mapping[str, Any], who: str) -> tuple[str, str]:
    said = {"who": who, "today": _usd(facts["today_usd"]), "median": _usd(facts["median_usd"])}
    return _("%(who)s spends far more than others today: %(today)s") % said, _(
        "The median of those who spend anything today is %(median)s. It may be right: ask before you stop it."
    ) % said


def _machine(facts: Mapping[str, Any], who: str) -> tuple[str, str]:
    said = {"who": who, "usd": _usd(facts["usd_hour"]), "median": _usd(facts["median_usd"]), "key": facts["key"]}
    return _("A machine of %(who)s costs %(usd)s an hour, far above the others") % said, _(
        "Machine %(key)s; the median of those that run is %(median)s an hour. Is that preset what the work needs?"
    ) % said


def _idle(facts: Mapping[str, Any], who: str) -> tuple[str, str]:
    said = {"idle": _usd(facts["idle_usd"]), "who": who}
    if who:
        return _("%(who)s: %(idle)s in seven days for machines that nobody used") % said, _(
            "They are told themselves. When it goes on: is the quiet time of the course too long?"
        )
    return _("%(idle)s in seven days for machines that nobody used") % said, _(
        "Stop a machine when you leave it: its files stay, and it starts again in minutes."
    )


def _disk(facts: Mapping[str, Any], who: str) -> tuple[str, str]:
    said = {
        "day": date_format(date.fromisoformat(facts["since"]), "LONG_MONTH_DAY_FORMAT"),
        "usd": _usd(facts["usd_month"]),
        "key": facts["key"],
        "who": who,
    }
    if who:
        return _("A disk of %(who)s has not been used since %(day)s") % said, _(
            "Machine %(key)s is stopped; its disk costs %(usd)s a month. They are told themselves."
        ) % said
    return _("A disk of yours has not been used since %(day)s") % said, _(
        "Machine %(key)s is stopped; its disk costs %(usd)s a month. Save what you need, then delete it."
    ) % said


def _credit(facts: Mapping[str, Any], who: str) -> tuple[str, str]:
    said = {
        "name": facts["name"],
        "left": _usd(facts["left_usd"]),
        "day": date_format(date.fromisoformat(facts["ends_on"]), "LONG_MONTH_DAY_FORMAT"),
    }
    return _("%(left)s of AWS credit expires on %(day)s") % said, _(
        "“%(name)s” of the course’s account. What is not used by then is lost: release budget for it, or use it."
    ) % said


_WORDS = {
    "threshold": _threshold,
    "forecast": _forecast,
    "pace": _pace,
    "unusual": _unusual,
    "machine": _machine,
    "idle": _idle,
    "disk": _disk,
    "credit": _credit,
}


def _usd(text: str) -> str:
    return f"${Decimal(text):,.2f}"
