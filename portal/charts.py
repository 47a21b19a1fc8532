"""Charts as SVG inside a page: no script, no style of their own; static/css/pages.css colours them, light or dark."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pygal
from django.utils.formats import date_format
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from pygal.etree import etree

from portal.figures import usd
from spend.reports import Day

WIDTH, HEIGHT = 1000, 260
_XLINK = "http://www.w3.org/1999/xlink"


def axis(value: float) -> str:
    return f"${value:,.0f}" if value >= 10 or value == 0 else f"${value:,.2f}"


LOOK: dict[str, Any] = {
    "js": [],
    "css": [],
    "classes": ("chart",),
    "no_prefix": True,
    "disable_xml_declaration": True,
    "show_legend": False,
    "width": WIDTH,
    "height": HEIGHT,
    "spacing": 4,
    "min_scale": 3,
    "max_scale": 6,
    "margin": 4,
    "margin_left": 14,
    "margin_bottom": 8,
    "truncate_label": -1,
    "show_minor_x_labels": False,
    "value_formatter": axis,
}


def spend_chart(days: Sequence[Day]) -> SafeString:
    """Stacked bars, one per day: machines, disks, addresses. The page has the same figures as a table."""
    chart = pygal.StackedBar(**LOOK)
    labels = [date_format(day.day, "MONTH_DAY_FORMAT") for day in days]
    chart.x_labels = labels
    chart.x_labels_major = _majors(days, labels)
    chart.add(_("Machines"), [_bar(d.compute_usd) for d in days])
    chart.add(_("Disks"), [_bar(d.disk_usd) for d in days])
    chart.add(_("Addresses"), [_bar(d.address_usd) for d in days])
    return bare(chart.render_tree(), title=_("Spend by day"), summary=_summary(days))


def _bar(amount_usd: Decimal) -> dict[str, Any]:
    return {"value": float(amount_usd), "formatter": lambda _value, a=amount_usd: usd(a)}


def _majors(days: Sequence[Day], labels: Sequence[str]) -> list[str]:
    """Mondays, when the days are too many for all their names."""
    if len(days) <= 14:
        return list(labels)
    return [label for day, label in zip(days, labels, strict=True) if day.day.weekday() == 0]


def bare(root: Any, *, title: str, summary: str, links: Mapping[str, str] | None = None) -> SafeString:
    """The chart without the parts that a strict page refuses (script) or that fight its dark mode (style).

    With links in it, it is a group that a keyboard can walk through; else one picture. `links`: what each leads to.
    """
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag == "defs":
                parent.remove(child)
    _describe_bars(root)
    del root.attrib["id"]
    root.set("role", "group" if _mind_links(root, links or {}) else "img")
    root.set("aria-label", summary)
    root.find("title").text = title
    # Every text in it was escaped when the tree was written out.
    return mark_safe(etree.tostring(root, encoding="unicode"))  # noqa: S308


def _mind_links(root: Any, words: Mapping[str, str]) -> int:
    """One tab stop for each place that a chart leads to: the parts of one bar all lead there."""
    seen: set[str] = set()
    links = [link for link in root.iter() if link.tag == "a"]
    for link in links:
        to = link.attrib.pop(f"{{{_XLINK}}}href", "")
        link.attrib.clear()
        link.set("href", to)
        link.set("aria-label", words.get(to, to))
        if to in seen:
            link.set("tabindex", "-1")
            link.set("aria-hidden", "true")
        seen.add(to)
    return len(links)


def _describe_bars(root: Any) -> None:
    """The browser's own tooltip: pygal's needs a script."""
    for group in [node for node in root.iter() if node.tag in ("g", "a")]:
        notes = [child for child in group if child.tag == "desc"]
        if not notes:
            continue
        said = {note.get("class"): note.text or "" for note in notes}
        for note in notes:
            group.remove(note)
        etree.SubElement(group, "title").text = f"{said.get('x_label', '')}: {said.get('value', '')}"


def _summary(days: Sequence[Day]) -> str:
    if not days:
        return _("No spend yet")
    most = max(days, key=lambda d: d.total_usd)
    return _("%(total)s in %(n)s days; the most on %(day)s: %(most)s") % {
        "total": usd(sum((d.total_usd for d in days), Decimal(0))),
        "n": len(days),
        "day": _day(most.day),
        "most": usd(most.total_usd),
    }


def _day(day: date) -> str:
    return date_format(day, "MONTH_DAY_FORMAT")
