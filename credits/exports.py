"""The course's codes as a table to take away: CSV and XLSX, without any code. Nothing here is written back."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from courses.models import Course
from courses.sheets import harmless, xlsx
from credits.models import CreditCode

if TYPE_CHECKING:
    import pandas

# Column names are not translated: scripts read them. No column may hold, or lead to, the code.
_COLUMNS: dict[str, Callable[[CreditCode], Any]] = {
    "batch": lambda code: code.batch.name,
    "value_usd": lambda code: code.batch.value_usd,
    "promotion": lambda code: code.batch.promotion,
    "purpose": lambda code: code.batch.purpose,
    "code_ends_in": lambda code: code.last4,
    "status": lambda code: code.status,
    "name": lambda code: code.holder.name if code.holder else "",
    "email": lambda code: code.holder.email if code.holder else "",
    "team": lambda code: code.team.name if code.team else "",
    "claimed_at": lambda code: code.claimed_at.isoformat(timespec="seconds") if code.claimed_at else "",
    "redeem_by": lambda code: _day(code.batch.redeem_by),
    "credit_expires_on": lambda code: _day(code.batch.expires_on),
}


def codes_frame(course: Course) -> "pandas.DataFrame":
    """One row per code, in the order in which they came; amounts stay Decimal (USD). One query."""
    import pandas  # here, because it would add a second and 60 MB to every web worker

    codes = list(
        CreditCode.objects.filter(batch__course=course)
        .select_related("batch", "holder", "team")
        .defer("ciphertext", "digest")
        .order_by("batch__created_at", "batch", "pk")
    )
    return pandas.DataFrame({name: [read(code) for code in codes] for name, read in _COLUMNS.items()}, dtype=object)


def codes_csv(course: Course) -> str:
    return str(codes_frame(course).map(harmless).to_csv(index=False, lineterminator="\r\n"))


def codes_xlsx(course: Course) -> bytes:
    frame = codes_frame(course)
    return xlsx("codes", [list(frame.columns), *frame.itertuples(index=False)])


def _day(day: Any) -> str:
    return day.isoformat() if day else ""
