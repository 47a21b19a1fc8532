"""A bill of AWS held against our own count: totals to the cent, each cause named, corrections booked once."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from cloud.base import Transient
from cloud.fake_costs import FakeCosts
from courses.models import Course
from spend import corrections, drift
from spend.causes import Compared, cause_of
from spend.checks import check_books
from spend.cur import NotAnExport
from spend.metering import ChargeLine
from spend.models import Correction, DailySpend, Drift, MoneyMove, ProviderCost, Reconciliation
from spend.reconciling import reconcile_explorer, reconcile_export, reconcile_place
from spend.services import hold, post
from spend.trueing import book_final, true_up, true_up_daily
from tests.conftest import Cast
from tests.race import race
from tests.spend.bills import Line, write_csv, write_parquet
from tests.spend.conftest import Tree

DAY = date(2019, 3, 5)
MORNING = datetime(2019, 3, 5, 8, tzinfo=UTC)
NOW = datetime(2019, 3, 12, 6, tzinfo=UTC)


@pytest.fixture
def alone(cast: Cast) -> Course:
    """One course in the account."""
    cast.foreign_instructor.delete()
    cast.other_course.delete()
    return cast.course


@pytest.fixture
def counted(tree: Tree) -> Tree:
    """Ada: two hours of a T4 and a day of its disk; Ben: one hour."""
    hold(tree.ada, key="machine/mada/run/1", amount_usd=Decimal(2), why="", who=None, now=MORNING)
    post(tree.ada, "machine/mada/run/1", [line("0.526", n) for n in range(2)], MORNING)
    post(tree.ada, "machine/mada/disk", [line("0.17", 0, kind="disk", seconds=86_400)], MORNING)
    post(tree.ben, "machine/mben/run/1", [line("0.526", 0)], MORNING)
    return tree


def line(usd: str, hour: int, kind: str = "compute", seconds: int = 3600) -> ChargeLine:
    return ChargeLine(kind, MORNING + timedelta(hours=hour), seconds, Decimal(usd))


def bill() -> list[Line]:
    """All that a month's bill has. Before credits it is $2.42."""
    t4, noon = "BoxUsage:g4dn.xlarge", MORNING + timedelta(hours=4)
    return [
        Line(MORNING, "mada", t4, "0.526"),
        Line(MORNING + timedelta(hours=1), "mada", t4, "0.5260000000"),
        Line(MORNING, "mada", "EBS:VolumeUsage.gp3", "0.20", "2.5", description="late correction: was 0.17"),
        Line(MORNING, "mada", "DataTransfer-Out-Bytes", "0.09", "1"),
        Line(MORNING, "mben", t4, "0.526"),
        Line(noon, "mben", t4, "0.263", "0.5"),
        Line(MORNING, "", "EBS:VolumeUsage.gp3", "0.05", "0.6"),
        Line(MORNING, "", "NatGateway-Hours", "0.045"),
        Line(MORNING, "web-server", "BoxUsage:t3.micro", "0.194", "18.7"),
        Line(MORNING, "mada", t4, "-1.052", "2", "Credit", "AWS Promotional Credit"),
        Line(MORNING, "mben", t4, "-0.3", "0", "Refund", "Service disruption"),
        Line(MORNING, "", "", "0.31", "0", "Tax", "Sales tax"),
    ]


Write = Callable[[list[Line]], Path]


@pytest.fixture(params=["bill.csv.gz", "bill.snappy.parquet"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    return partial(write_parquet if request.param.endswith("parquet") else write_csv, tmp_path / request.param)


def test_the_bill_adds_up_to_the_cent_and_each_difference_has_its_cause(
    counted: Tree, alone: Course, write: Write
) -> None:
    look = reconcile_export([write(bill())], name="bill", now=NOW)
    assert (look.usage_usd, look.credit_usd, look.refund_usd, look.other_usd) == (
        Decimal("2.42"),
        Decimal("-1.052"),
        Decimal("-0.3"),
        Decimal("0.31"),
    )
    found = {(one.machine, one.kind): (one.drift_usd, one.cause) for one in Drift.objects.all()}
    assert found == {
        ("mada", "compute"): (Decimal(0), "none"),
        ("mada", "disk"): (Decimal("0.03"), "price"),
        ("mada", "transfer"): (Decimal("0.09"), "transfer"),
        ("mben", "compute"): (Decimal("0.263"), "time"),
        ("", "disk"): (Decimal("0.05"), "untagged"),
        ("", "other"): (Decimal("0.045"), "other"),
        ("web-server", "compute"): (Decimal("0.194"), "foreign"),
    }
    [day] = drift.by_day(drift.drifts(alone, DAY, DAY))
    assert (day.ours_usd, day.provider_usd, day.drift_usd) == (Decimal("1.748"), Decimal("2.42"), Decimal("0.672"))
    assert sum(one.drift_usd for one in drift.by_cause(drift.drifts(alone, DAY, DAY))) == Decimal("0.672")


def test_whose_machines_they_are_is_asked_once_for_all(tree: Tree, alone: Course, tmp_path: Path) -> None:
    def questions(machines: int) -> int:
        names = [f"m{n}" for n in range(machines)]
        for name in names:
            post(tree.ada, f"machine/{name}/run/1", [line("0.001", 0)], MORNING)
        there = write_csv(tmp_path / "bill.csv.gz", [Line(MORNING, n, "BoxUsage:g4dn.xlarge", "0.001") for n in names])
        with CaptureQueriesContext(connection) as asked:
            reconcile_export([there], name="bill", now=NOW)
        assert Drift.objects.filter(enrollment=tree.ada.enrollment).count() == machines
        return len(asked)

    assert questions(2) == questions(20)


def test_usage_credits_and_what_is_paid_are_three_figures(counted: Tree, write: Write) -> None:
    reconcile_export([write(bill())], name="bill", now=NOW)
    figures = drift.account_figures(DAY, DAY)
    assert (figures.gross_usd, figures.credit_usd, figures.refund_usd) == (
        Decimal("2.42"),
        Decimal("-1.052"),
        Decimal("-0.3"),
    )
    assert (figures.out_of_pocket_usd, figures.as_of, figures.source) == (Decimal("1.068"), NOW, "export")


def test_what_is_final_is_booked_once_on_whoever_it_belongs_to(counted: Tree, alone: Course, write: Write) -> None:
    spent = counted.fresh("course").spent_usd
    path = write(bill())
    for n in range(3):
        look = reconcile_export([path], name="bill", now=NOW + timedelta(hours=n))
        book_final(look, now=NOW)
    assert [(one.machine, one.kind, one.amount_usd, one.cause) for one in Correction.objects.order_by("key")] == [
        ("mada", "disk", Decimal("0.03"), "price"),
        ("mada", "transfer", Decimal("0.09"), "transfer"),
        ("mben", "compute", Decimal("0.263"), "time"),
    ]
    assert counted.fresh("ada").spent_usd == Decimal("1.342")
    assert counted.fresh("course").spent_usd == spent + Decimal("0.383")
    day = DailySpend.objects.get(enrollment__budget=counted.ada, kind="correction")
    assert (day.day, day.amount_usd) == (DAY, Decimal("0.12"))
    assert check_books() == []
    assert {one.drift_usd for one in Drift.objects.filter(enrollment__isnull=False)} == {0}


def test_a_later_bill_that_corrects_an_earlier_one_is_followed_both_ways(
    counted: Tree, alone: Course, tmp_path: Path
) -> None:
    for usd in ("0.60", "0.40", "0.526"):
        path = write_csv(tmp_path / "bill.csv", [Line(MORNING, "mben", "BoxUsage:g4dn.xlarge", usd)])
        book_final(reconcile_export([path], name="bill", now=NOW), now=NOW)
        assert counted.fresh("ben").spent_usd == Decimal(usd)
    assert [one.amount_usd for one in Correction.objects.order_by("pk")] == [
        Decimal("0.074"),
        Decimal("-0.2"),
        Decimal("0.126"),
    ]
    assert check_books() == []


def test_what_nobody_is_known_for_is_booked_by_staff_on_the_course(
    cast: Cast, counted: Tree, alone: Course, write: Write
) -> None:
    reconcile_export([write(bill())], name="bill", now=NOW)
    before = counted.fresh("course").spent_usd
    [untagged] = Drift.objects.filter(cause="untagged")
    for _n in range(2):
        corrections.book(untagged, course=alone, why="our lost disk", who=cast.instructor.user, now=NOW)
    assert counted.fresh("course").spent_usd == before + Decimal("0.05")
    [booked] = Correction.objects.all()
    assert (booked.enrollment, booked.who, booked.why) == (None, cast.instructor.user, "our lost disk")
    assert check_books() == []


def test_a_correction_beyond_the_budget_is_an_overrun_and_not_lost(
    counted: Tree, alone: Course, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "bill.csv", [Line(MORNING, "mada", "BoxUsage:g4dn.xlarge", "12", "24")])
    book_final(reconcile_export([path], name="bill", now=NOW), now=NOW)
    ada = counted.fresh("ada")
    assert ada.spent_usd == Decimal("12.17")
    assert ada.overrun_usd == ada.spent_usd + ada.held_usd - ada.amount_usd
    assert MoneyMove.objects.filter(kind="overrun", budget=ada).exists()
    assert check_books() == []


def test_nothing_is_booked_for_days_that_are_not_over_or_that_the_provider_is_silent_about(
    counted: Tree, alone: Course, tmp_path: Path
) -> None:
    """Without active tags everything is untagged: that must not give all money back."""
    path = write_csv(tmp_path / "bill.csv", [Line(MORNING, "", "BoxUsage:g4dn.xlarge", "1.578", "3")])
    assert book_final(reconcile_export([path], name="bill", now=NOW), now=NOW) == []
    assert {one.cause for one in Drift.objects.all()} == {"untagged", "late"}
    soon = MORNING + timedelta(days=1)
    path = write_csv(path, [Line(MORNING, "mben", "BoxUsage:g4dn.xlarge", "0.9")])
    assert book_final(reconcile_export([path], name="bill", now=soon), now=soon) == []


# ------------------------------------------------------------------ Cost Explorer, daily
@pytest.fixture
def costs() -> FakeCosts:
    fake = FakeCosts()
    fake.bill(DAY, "mada", "BoxUsage:g4dn.xlarge", "1.052", "2")
    fake.bill(DAY, "mben", "BoxUsage:g4dn.xlarge", "0.789", "1.5")
    return fake


def test_once_a_day_cost_explorer_is_asked_and_what_is_final_booked(
    counted: Tree, alone: Course, costs: FakeCosts
) -> None:
    assert len(true_up_daily(costs, NOW)) == 1
    assert [(one.machine, one.amount_usd) for one in Correction.objects.all()] == [("mben", Decimal("0.263"))]
    assert true_up_daily(costs, NOW + timedelta(hours=10)) == []
    assert len(true_up_daily(costs, NOW + timedelta(hours=24))) == 1
    assert costs.faults.count("usage") == 2
    assert Correction.objects.count() == 1


def test_an_account_that_may_not_ask_says_so_and_is_asked_again_soon(counted: Tree, costs: FakeCosts) -> None:
    costs.faults.break_before("usage", Transient("down"))
    [look] = true_up_daily(costs, NOW)
    assert (look.problem, Drift.objects.count()) == ("down", 0)
    assert true_up_daily(costs, NOW + timedelta(hours=1)) == []
    [look] = true_up_daily(costs, NOW + timedelta(hours=3))
    assert look.problem == ""
    assert drift.latest() == look


def test_without_a_source_nobody_is_asked(counted: Tree, costs: FakeCosts, settings: Settings) -> None:
    settings.COST_EXPLORER = False
    assert true_up_daily(costs, NOW) == []
    assert costs.faults.count() == 0


def test_what_is_told_again_replaces_what_was_told(counted: Tree, alone: Course, costs: FakeCosts) -> None:
    reconcile_explorer(costs, now=NOW)
    costs.bill(DAY, "mada", "BoxUsage:g4dn.xlarge", "1.5", "3")
    reconcile_explorer(costs, now=NOW + timedelta(days=1))
    assert ProviderCost.objects.get(day=DAY, machine="mada").usage_usd == Decimal("2.552")
    assert Drift.objects.filter(machine="mada", kind="compute").get().drift_usd == Decimal("1.5")


def test_of_a_day_that_both_tell_of_the_export_counts(
    counted: Tree, alone: Course, costs: FakeCosts, tmp_path: Path
) -> None:
    reconcile_explorer(costs, now=NOW)
    path = write_csv(tmp_path / "bill.csv", [Line(MORNING, "mben", "BoxUsage:g4dn.xlarge", "0.526")])
    reconcile_export([path], name="bill", now=NOW)
    rows = drift.drifts(alone, DAY, DAY)
    assert {one.source for one in rows} == {"export"}
    assert drift.account_figures(DAY, DAY).gross_usd == Decimal("0.526")


def test_exports_in_s3_are_read_part_by_part(
    counted: Tree, costs: FakeCosts, tmp_path: Path, settings: Settings
) -> None:
    settings.COST_EXPLORER, settings.COST_EXPORT = False, "s3://bills/cur/daily"
    parts = bill()[:6], bill()[6:]
    costs.files["2019-03"] = {f"p{n}.csv.gz": write_csv(tmp_path / f"{n}.csv.gz", part) for n, part in enumerate(parts)}
    [look] = true_up(costs, now=NOW)
    assert (look.lines, look.usage_usd, look.problem) == (12, Decimal("2.42"), "")
    costs.faults.break_before("fetch", Transient("cut off"))
    [look] = reconcile_place(costs, settings.COST_EXPORT, now=NOW)
    assert look.problem == "cut off"
    assert ProviderCost.objects.count() > 0


def test_the_command_reads_files_and_says_what_is_wrong_with_one(counted: Tree, alone: Course, tmp_path: Path) -> None:
    out = StringIO()
    call_command("true_up", str(write_csv(tmp_path / "bill.csv.gz", bill())), stdout=out)
    assert "12 lines, usage 2.420000 USD, credits -1.052000 USD" in out.getvalue()
    (tmp_path / "roster.csv").write_text("name,email\n")
    with pytest.raises(CommandError, match="is missing"):
        call_command("true_up", str(tmp_path / "roster.csv"), stdout=out)


def test_a_file_that_is_no_export_changes_nothing(counted: Tree, costs: FakeCosts, tmp_path: Path) -> None:
    reconcile_explorer(costs, now=NOW)
    (tmp_path / "roster.csv").write_text("name,email\n")
    with pytest.raises(NotAnExport):
        reconcile_export([tmp_path / "roster.csv"], name="x", now=NOW)
    assert (Reconciliation.objects.count(), Drift.objects.exists()) == (1, True)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({}, "none"),
        ({"provider_usd": Decimal("1.009")}, "none"),
        ({"provider_usd": Decimal("1.1")}, "price"),
        ({"provider_usd": Decimal("1.1"), "provider_quantity": Decimal("2.2")}, "time"),
        ({"provider_usd": Decimal(0), "provider_quantity": Decimal(0)}, "late"),
        ({"provider_usd": Decimal("0.6"), "age_days": 1}, "late"),
        ({"provider_usd": Decimal("1.1"), "machine": ""}, "untagged"),
        ({"provider_usd": Decimal("1.1"), "is_known": False}, "foreign"),
        ({"provider_usd": Decimal("1.1"), "kind": "other"}, "other"),
        ({"provider_usd": Decimal("1.1"), "kind": "transfer"}, "transfer"),
        ({"provider_usd": Decimal("1.1"), "ours_seconds": 0}, "time"),
    ],
)
def test_each_cause_is_named(change: dict[str, object], cause: str) -> None:
    facts: dict[str, object] = {
        "machine": "m1",
        "is_known": True,
        "kind": "compute",
        "ours_usd": Decimal(1),
        "ours_seconds": 7200,
        "provider_usd": Decimal(1),
        "provider_quantity": Decimal(2),
        "age_days": 5,
    }
    assert cause_of(Compared(**{**facts, **change})) == cause  # type: ignore[arg-type]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_the_same_difference_booked_by_six_processes_is_one_correction(counted: Tree, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [Line(MORNING, "mben", "BoxUsage:g4dn.xlarge", "0.9")])
    reconcile_export([path], name="bill", now=NOW)
    row = Drift.objects.get(machine="mben")
    book = partial(corrections.book, row, course=row.course, why="race", who=None, now=NOW)
    outcomes = race([lambda: getattr(book(), "amount_usd", None) for _n in range(6)])
    assert [one.error for one in outcomes] == [None] * 6
    assert [one.value for one in outcomes if one.value] == [Decimal("0.374")]
    assert check_books() == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_control_without_the_second_look_the_money_is_booked_more_than_once(
    counted: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_csv(tmp_path / "bill.csv", [Line(MORNING, "mben", "BoxUsage:g4dn.xlarge", "0.9")])
    reconcile_export([path], name="bill", now=NOW)
    row = Drift.objects.get(machine="mben")
    monkeypatch.setattr(corrections, "_corrected", lambda _drift: Decimal(0))
    book = partial(corrections.book, row, course=row.course, why="race", who=None, now=NOW)
    race([lambda: bool(book()) for _n in range(6)])
    assert Correction.objects.count() > 1
