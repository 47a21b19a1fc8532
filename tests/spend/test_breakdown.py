"""Where the money went: sums that agree with the charges, by every cut that a page shows, and the rows behind them."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow.parquet
import pytest

from courses.models import Milestone, Role
from spend import breakdown, exports
from spend.breakdown import Purpose
from spend.metering import ChargeLine
from spend.models import Charge, CourseDay, PersonTotal
from spend.periods import Period, whole
from spend.price_tags import PriceTag, refresh_price_tags, tags_of
from spend.rebuild import rebuild_totals
from spend.rows import BadCursor, Wanted, charges_of, matching
from spend.services import post
from tests.conftest import Cast
from tests.spend.conftest import NOON, Tree

DAY = NOON.date()
HOUR = timedelta(hours=1)


def compute(usd: str, *, hour: datetime = NOON, idle: int = 0) -> ChargeLine:
    return ChargeLine("compute", hour, 3600, Decimal(usd), idle)


@pytest.fixture
def spent(tree: Tree) -> Tree:
    """Ada: 4 USD on one preset, a quarter of it idle, and a disk; Ben: 1 USD on another, a day later."""
    post(tree.ada, "machine/a/run/1", [compute("4", idle=900)], NOON, group="homework")
    post(tree.ada, "machine/a/disk", [ChargeLine("disk", NOON, 3600, Decimal("0.5"))], NOON, group="homework")
    post(tree.ben, "machine/b/run/1", [compute("1", hour=NOON + 24 * HOUR)], NOON, group="project")
    return tree


def period(days: int = 2) -> Period:
    return Period("custom", DAY, DAY + timedelta(days=days - 1))


def test_the_same_total_by_day_purpose_preset_and_person(spent: Tree, cast: Cast) -> None:
    cells = breakdown.cells(cast.course, period())
    total = breakdown.total(cells)
    assert total.usd == Decimal("5.5")
    assert dict(total.parts)[Purpose.IDLE] == 1
    assert dict(total.parts)[Purpose.USE] == 4
    assert [cost.usd for _day, cost in breakdown.by_day(cells, period())] == [Decimal("4.5"), 1]
    assert [(slug, cost.usd) for slug, cost in breakdown.by_preset(cells)] == [
        ("homework", Decimal("4.5")),
        ("project", 1),
    ]
    for asked in (period(), whole(DAY, DAY, DAY)):  # from days, and from totals
        people = breakdown.by_person(breakdown.by_person_and_team(cast.course, asked))
        assert [(pk, cost.usd) for pk, cost in people] == [
            (cast.student.pk, Decimal("4.5")),
            (cast.other_student.pk, 1),
        ]


def test_a_charge_stays_with_the_team_in_which_it_was_spent(spent: Tree, cast: Cast) -> None:
    cast.student.team = None
    cast.student.save()
    post(spent.ada, "machine/a/run/2", [compute("3")], NOON, group="homework")
    teams = dict(breakdown.by_team(breakdown.by_person_and_team(cast.course, whole(DAY, DAY, DAY))))
    assert teams[cast.team.pk].usd == Decimal("5.5")
    assert teams[None].usd == 3


def test_sums_counted_anew_from_the_charges_are_the_sums_that_were_kept(spent: Tree, cast: Cast) -> None:
    def rows() -> list[list[object]]:
        fields = ("kind", "seconds", "idle_seconds", "amount_usd", "idle_usd")
        days = CourseDay.objects.order_by("day", "kind", "group").values_list("day", "group", *fields)
        people = PersonTotal.objects.order_by("enrollment", "kind").values_list("enrollment", "team", *fields)
        return [list(days), list(people)]

    kept = rows()
    rebuild_totals(cast.course)
    assert rows() == kept


def test_who_stands_out_is_told_only_among_five() -> None:
    def people(*usd: int) -> list[tuple[int, breakdown.Cost]]:
        found = []
        for pk, amount in enumerate(usd):
            cost = breakdown.Cost()
            cost.take("compute", Decimal(amount), Decimal(0))
            found.append((pk, cost))
        return found

    assert breakdown.unusual(people(100, 10, 10, 10)) == []
    [(who, _cost, times)] = breakdown.unusual(people(40, 10, 10, 10, 11))
    assert (who, times) == (0, 4.0)
    assert breakdown.unusual(people(9, 2, 2, 2, 2)) == []  # far above, but next to nothing


# ------------------------------------------------------------------ rows
def test_the_rows_behind_a_figure_add_up_to_it(spent: Tree, cast: Cast) -> None:
    def keys(**more: object) -> list[str]:
        return [one.key for one in charges_of(cast.course, Wanted(period(), **more)).charges]  # type: ignore[arg-type]

    assert keys() == ["machine/b/run/1", "machine/a/disk", "machine/a/run/1"]
    assert keys(purpose=Purpose.IDLE) == ["machine/a/run/1"]
    assert keys(preset="project") == ["machine/b/run/1"]
    assert keys(person=cast.student.pk) == ["machine/a/disk", "machine/a/run/1"]
    assert keys(team=0) == []


def test_pages_of_rows_meet_without_gap_or_repetition(spent: Tree, cast: Cast) -> None:
    lines = [compute("0.01", hour=NOON + n * HOUR) for n in range(230)]
    post(spent.ada, "machine/a/run/9", lines, NOON, group="homework")
    wanted, seen, after = Wanted(period(30)), [], ""
    while True:
        page = charges_of(cast.course, wanted, after)
        seen += [one.pk for one in page.charges]
        after = page.after
        if not after:
            break
    assert len(seen) == len(set(seen)) == 233
    with pytest.raises(BadCursor):
        charges_of(cast.course, wanted, "yesterday")


def test_files_hold_the_same_rows_and_no_formula(spent: Tree, cast: Cast) -> None:
    cast.student.name = "=cmd|' /C calc'!A0"
    cast.student.save()
    charges = matching(cast.course, Wanted(period()))
    rows = list(csv.DictReader(io.StringIO("".join(exports.charges_csv(charges)))))
    assert [row["amount_usd"] for row in rows] == ["4.000000", "0.500000", "1.000000"]
    assert rows[0]["name"] == "'=cmd|' /C calc'!A0"
    table = pyarrow.parquet.read_table(io.BytesIO(exports.charges_parquet(charges)))
    assert sum(table["amount_usd"].to_pylist()) == Decimal("5.5")
    assert exports.charges_xlsx(charges)[:2] == b"PK"
    empty = matching(cast.other_course, Wanted(period()))
    assert "".join(exports.charges_csv(empty)).startswith("hour_utc,name,")
    assert pyarrow.parquet.read_table(io.BytesIO(exports.charges_parquet(empty))).num_rows == 0


def test_a_sheet_that_is_too_long_is_refused(spent: Tree, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "XLSX_ROWS", 2)
    with pytest.raises(exports.TooManyRows):
        exports.charges_xlsx(matching(cast.course, Wanted(period())))


# ------------------------------------------------------------------ price tags
def test_a_homeworks_price_is_told_from_five_people_on(spent: Tree, cast: Cast) -> None:
    homework = Milestone.objects.create(
        course=cast.course, name="HW1", handed_out_on=DAY, due_on=DAY + timedelta(days=6)
    )
    refresh_price_tags(NOON)
    tag = PriceTag.objects.get()
    assert (tag.people, tag.median_usd) == (2, Decimal("2.75"))
    [own] = tags_of(cast.student, DAY)
    assert (own.own_usd, own.median_usd, own.people) == (Decimal("4.5"), None, 0)
    PriceTag.objects.update(people=5)
    [own] = tags_of(cast.student, DAY)
    assert own.median_usd == Decimal("2.75")
    assert own.milestone == homework
    assert not own.is_dear


def test_a_final_price_is_not_counted_again_and_staff_do_not_count(spent: Tree, cast: Cast) -> None:
    Milestone.objects.create(course=cast.course, name="HW1", handed_out_on=DAY, due_on=DAY)
    cast.other_student.role = Role.TA
    cast.other_student.save()
    late = datetime.combine(DAY + timedelta(days=3), NOON.timetz().replace(tzinfo=UTC))
    assert refresh_price_tags(NOON) == 1
    assert PriceTag.objects.get().people == 1
    assert refresh_price_tags(late) == 1  # the last look, after all was booked
    assert refresh_price_tags(late + timedelta(days=30)) == 0
    assert Charge.objects.count() == 3
