"""Charts of the spend pages: bars that lead to the charges behind them, and the money that is left. See `charts.py`."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pygal
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from portal.charts import LOOK, bare
from portal.figures import usd
from portal.spending import Row
from spend.breakdown import PURPOSE_WORDS, Cost, Purpose
from spend.burndown import Burndown

# Always in this order, and drawn when any is above 0: so a colour keeps its meaning from page to page.
STACK = tuple(Purpose)


def purposes_in(costs: Iterable[Cost]) -> list[Purpose]:
    """The purposes that cost anything, for the legend too."""
    found = {purpose for cost in costs for purpose, amount in cost.parts if amount}
    return [purpose for purpose in STACK if purpose in found]


def bars(rows: Sequence[Row], link: Callable[[Row], str] | None, *, title: str) -> SafeString:
    """One stacked bar per row, by purpose; with a `link` each leads on. The page has the same as a table."""
    chart = pygal.StackedBar(**{**LOOK, "classes": ("chart", "purposes")})
    labels = [row.label for row in rows]
    chart.x_labels = labels
    every = max(1, -(-len(labels) // 16))
    chart.x_labels_major = labels[::every]
    for purpose in STACK:
        parts = [_bar(row, purpose, link) for row in rows]
        chart.add(str(PURPOSE_WORDS[purpose]), parts)
    words = {link(row): f"{row.word}: {usd(row.cost.usd)}" for row in rows} if link else {}
    return bare(chart.render_tree(), title=title, summary=_bars_summary(rows, link is not None), links=words)


def _bar(row: Row, purpose: Purpose, link: Callable[[Row], str] | None) -> dict[str, Any] | None:
    amount = row.cost.by.get(purpose, Decimal(0))
    if amount <= 0:
        return None
    words = f"{PURPOSE_WORDS[purpose]}: {usd(amount)}"
    bar = {"value": float(amount), "formatter": lambda _value: words}
    return {**bar, "xlink": {"href": link(row)}} if link else bar


def _bars_summary(rows: Sequence[Row], leads_on: bool) -> str:
    if not rows or not any(row.cost.usd for row in rows):
        return _("No spend in these days")
    most = max(rows, key=lambda row: row.cost.usd)
    said = _("%(total)s in all; the most: %(word)s, %(most)s.") % {
        "total": usd(sum((row.cost.usd for row in rows), Decimal(0))),
        "word": most.word,
        "most": usd(most.cost.usd),
    }
    return f"{said} {_('Each bar leads to its charges.')}" if leads_on else said


def burn_chart(found: Burndown) -> SafeString:
    """What is left: so far, by the plan, and from here on with its band."""
    first = found.plan[0][0]
    chart = pygal.XY(
        **{
            **LOOK,
            "classes": ("chart", "burn"),
            "show_dots": False,
            "show_minor_x_labels": True,
            "range": (0, float(max(found.amount_usd, Decimal(1)))),
            "xrange": (0, (found.ends_on - first).days),
            "x_value_formatter": lambda n: date_format(first + timedelta(days=round(n)), "MONTH_DAY_FORMAT"),
        }
    )
    chart.x_labels = list(range(0, (found.ends_on - first).days + 1, 14))
    at = _placed(first)
    chart.add(_("Between the slowest and the fastest week"), _band(found, at))
    chart.add(_("Plan"), [at(day, left) for day, left in found.plan])
    chart.add(_("Likely"), _line(found, at))
    chart.add(_("Left"), [at(day, left) for day, left in found.left])
    return bare(chart.render_tree(), title=_("Money left"), summary=burn_words(found))


Place = Callable[[date, Decimal], tuple[int, float]]


def _placed(first: date) -> Place:
    return lambda day, amount: ((day - first).days, float(max(amount, Decimal(0))))


def _to_come(found: Burndown) -> list[date]:
    return [found.today + timedelta(days=n) for n in range(found.days_to_come + 1)]


def _line(found: Burndown, at: Place) -> list[tuple[int, float]]:
    if found.pace is None:
        return []
    return [at(day, found.left_at(found.pace.likely, day)) for day in _to_come(found)]


def _band(found: Burndown, at: Place) -> list[tuple[int, float]]:
    """A closed line, which the stylesheet fills: out along the slowest pace, back along the fastest."""
    if found.pace is None:
        return []
    days, pace = _to_come(found), found.pace
    out = [at(day, found.left_at(pace.low, day)) for day in days]
    back = [at(day, found.left_at(pace.high, day)) for day in reversed(days)]
    return [*out, *back, out[0]]


def burn_table(found: Burndown) -> list[dict[str, object]]:
    """The chart's own figures, one line a week and one for today."""
    left, pace = dict(found.left), found.pace
    lines: list[dict[str, object]] = []
    for n, (day, plan) in enumerate(found.plan):
        if n % 7 and day not in (found.today, found.ends_on):
            continue
        line: dict[str, object] = {"day": day, "left": left.get(day), "plan": plan}
        paces = {"likely": pace.likely, "slowest": pace.low, "fastest": pace.high} if pace else {}
        for name in ("likely", "slowest", "fastest"):
            line[name] = found.left_at(paces[name], day) if paces and day >= found.today else None
        lines.append(line)
    return lines


def burn_words(found: Burndown) -> str:
    """The forecast in one sentence, as pages, reports and screen readers have it."""
    if found.pace is None:
        return _("%(left)s of %(total)s left.") % {"left": usd(found.left_usd), "total": usd(found.amount_usd)}
    if found.gone_likely:
        return _("At the pace of the last two weeks it is gone on %(day)s, %(n)s days before the course ends.") % {
            "day": date_format(found.gone_likely, "LONG_MONTH_DAY_FORMAT"),
            "n": found.days_early,
        }
    rest = found.left_at(found.pace.likely, found.ends_on)
    words = _("At the pace of the last two weeks %(usd)s are left when the course ends.") % {"usd": usd(rest)}
    if found.gone_earliest:
        worst = _("If every week were as the dearest of the last four, it would be gone on %(day)s.")
        words += " " + worst % {"day": date_format(found.gone_earliest, "LONG_MONTH_DAY_FORMAT")}
    return words
