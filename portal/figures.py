"""How amounts and spans of time are written, the same on every page. Knows no request and no model."""

from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal

from django.utils.translation import gettext as _

CENT = Decimal("0.01")


def usd(amount: Decimal | int | str | None) -> str:
    """`$1,234.50`; what is above 0 but rounds to nothing is `<$0.01`, so that no cost looks free."""
    if amount is None:
        return "–"
    value = Decimal(amount)
    if 0 < value < CENT:
        return "<$0.01"
    rounded = value.quantize(CENT, ROUND_HALF_UP)
    return f"−${-rounded:,.2f}" if rounded < 0 else f"${rounded:,.2f}"


def usd_fine(amount: Decimal | None) -> str:
    """`$0.0052`: one charge, whose cents would all look alike."""
    if amount is None:
        return "–"
    sign = "−" if amount < 0 else ""
    return f"{sign}${abs(Decimal(amount)).quantize(Decimal('0.0001'), ROUND_HALF_UP):,.4f}"


def usd_hour(price: Decimal | None) -> str:
    """`$0.526`: a price per hour keeps the third decimal that AWS's prices have, and drops needless zeros."""
    if price is None:
        return "–"
    text = f"{Decimal(price).quantize(Decimal('0.0001'), ROUND_HALF_UP):f}".rstrip("0")
    whole, _point, decimals = text.partition(".")
    return f"${int(whole):,}.{decimals:0<2}"


def span(seconds: float | timedelta) -> str:
    """`45 s`, `4 min 10 s`, `35 min`, `1 h 5 min`, `3 days`. static/js/lamplighter.js counts on in the same words."""
    s = max(0, round(seconds.total_seconds() if isinstance(seconds, timedelta) else seconds))
    minutes = _("%(n)s min")
    if s < 60:
        return _("%(n)s s") % {"n": s}
    if s < 300 and s % 60:
        return f"{minutes % {'n': s // 60}} {_('%(n)s s') % {'n': s % 60}}"
    if s < 3600:
        return minutes % {"n": s // 60}
    if s < 48 * 3600:
        rest = f" {minutes % {'n': s % 3600 // 60}}" if s % 3600 >= 60 else ""
        return _("%(n)s h") % {"n": s // 3600} + rest
    return _("%(n)s days") % {"n": s // 86400}


def relative(seconds: float) -> str:
    """Seconds from now (negative: past) as `in 1 h 5 min`, `12 s ago`."""
    if abs(seconds) < 1:
        return _("now")
    if seconds > 0:
        return _("in %(span)s") % {"span": span(seconds)}
    return _("%(span)s ago") % {"span": span(-seconds)}
