"""What else lies in the account, and what nobody foresaw: neither ends the true-up, asks AWS without end, or hides."""

import logging
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from cloud.base import Transient
from cloud.fake_billing import FakeBilling
from cloud.fake_costs import FakeCosts
from instances.models import Instance
from spend import drift, reconciling, tasks, trueing
from spend.cur import MACHINE_LETTERS, cut_tag, read_export
from spend.metering import ChargeLine
from spend.models import AccountCredit, Correction, Drift, ProviderCost, ProviderDay, Reconciliation
from spend.reconciling import reconcile_explorer, reconcile_export
from spend.services import hold, post
from spend.trueing import true_up_daily
from tests.conftest import Cast
from tests.spend.bills import Line, write_csv, write_parquet
from tests.spend.conftest import Tree

DAY = date(2019, 3, 5)
MORNING = datetime(2019, 3, 5, 8, tzinfo=UTC)
NOW = datetime(2019, 3, 12, 6, tzinfo=UTC)
SOON = timedelta(minutes=10)  # the beat
T4 = "BoxUsage:g4dn.xlarge"
# AWS takes 256 letters; these two differ after the fortieth.
LONG = [f"jenkins-build-agent-for-the-data-platform-{team}" for team in ("team-blue", "team-red")]
SHORT = LONG[0][:40]


@pytest.fixture
def counted(tree: Tree) -> Tree:
    """Ada had a T4 for an hour."""
    hold(tree.ada, key="machine/mada/run/1", amount_usd=Decimal(2), why="", who=None, now=MORNING)
    post(tree.ada, "machine/mada/run/1", [ChargeLine("compute", MORNING, 3600, Decimal("0.526"))], MORNING)
    return tree


@pytest.fixture
def costs() -> FakeCosts:
    fake = FakeCosts()
    fake.bill(DAY, "mada", T4, "0.526", "1")
    return fake


def bill_long_names(costs: FakeCosts) -> None:
    for name, usd in zip(LONG, ("1.111111", "2.222222"), strict=True):
        costs.bill(DAY, name, T4, usd, "1")
        costs.bill(DAY, name, "EBS:VolumeUsage.gp3", "0.005", "0.1")


# ------------------------------------------------------------------ long names
def test_names_that_begin_alike_are_one_line_whose_sum_is_theirs(counted: Tree, costs: FakeCosts) -> None:
    bill_long_names(costs)
    for n in range(2):
        look = reconcile_explorer(costs, now=NOW + timedelta(hours=n))
        assert (look.problem, look.usage_usd) == ("", Decimal("3.869333"))
    told = {(one.machine, one.kind): (one.usage_usd, one.quantity) for one in ProviderCost.objects.exclude(machine="")}
    assert told == {
        ("mada", "compute"): (Decimal("0.526"), Decimal(1)),
        (SHORT, "compute"): (Decimal("3.333333"), Decimal(2)),
        (SHORT, "disk"): (Decimal("0.01"), Decimal("0.2")),
    }
    assert ProviderDay.objects.get().usage_usd == Decimal("3.869333")
    assert sum(one.provider_usd for one in Drift.objects.all()) == Decimal("3.869333")


@pytest.mark.parametrize("kind", ["bill.csv.gz", "bill.snappy.parquet"])
def test_so_are_they_in_an_export_credits_and_refunds_included(counted: Tree, tmp_path: Path, kind: str) -> None:
    long = ["ü" * 200 + end for end in ("one", "two", "three")]
    lines = [
        *(Line(MORNING, name, T4, usd) for name, usd in zip(long, ("0.333333", "0.333333", "0.333334"), strict=True)),
        *(Line(MORNING, name, T4, "-0.1", "0", "Credit") for name in long),
        Line(MORNING, long[0], T4, "-0.01", "0", "Refund"),
        Line(MORNING, "mada", T4, "0.526"),
    ]
    path = (write_parquet if kind.endswith("parquet") else write_csv)(tmp_path / kind, lines)
    look = reconcile_export([path], name="bill", now=NOW)
    assert (look.lines, look.usage_usd, look.credit_usd, look.refund_usd) == (
        8,
        Decimal("1.526"),
        Decimal("-0.3"),
        Decimal("-0.01"),
    )
    row = ProviderCost.objects.get(machine="ü" * 40)
    assert (row.usage_usd, row.quantity, row.credit_usd, row.refund_usd) == (
        Decimal(1),
        Decimal(3),
        Decimal("-0.3"),
        Decimal("-0.01"),
    )
    assert {key[1] for key in read_export([path]).by} == {"ü" * 40, "mada"}
    day = ProviderDay.objects.get()
    assert (day.usage_usd, day.credit_usd, day.refund_usd) == (Decimal("1.526"), Decimal("-0.3"), Decimal("-0.01"))


def test_a_name_that_was_cut_is_no_machine_of_ours(counted: Tree, costs: FakeCosts) -> None:
    """One is cut to more letters than any slug of ours has, so it cannot become one."""
    slug = Instance._meta.get_field("slug").max_length
    assert slug == 12 < MACHINE_LETTERS
    for model in (ProviderCost, Drift, Correction):
        assert model._meta.get_field("machine").max_length == MACHINE_LETTERS
    assert [len(cut_tag("m" * n)) for n in (slug, 40, 41, 256)] == [slug, 40, 40, 40]
    assert (cut_tag(""), cut_tag(None)) == ("", "")
    costs.bill(DAY, "mada" + "-" * 60, T4, "9", "10")
    look = reconcile_explorer(costs, now=NOW)
    foreign = Drift.objects.get(machine__startswith="mada-")
    assert (foreign.cause, foreign.enrollment, foreign.ours_usd) == ("foreign", None, 0)
    assert Drift.objects.get(machine="mada").provider_usd == Decimal("0.526")
    assert trueing.book_final(look, now=NOW) == []


# ------------------------------------------------------------------ what nobody foresaw
class Unforeseen(Exception):
    pass


def fail(*_args: object, **_more: object) -> None:
    raise Unforeseen("name of somebody's secret project")


def break_the_question(costs: FakeCosts, _monkeypatch: pytest.MonkeyPatch) -> None:
    costs.faults.break_before("totals", Unforeseen("name of somebody's secret project"), times=None)


def break_the_writing(_costs: FakeCosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the figures are written, and the row of the look itself."""
    monkeypatch.setattr(reconciling, "compare", fail)


def break_the_booking(_costs: FakeCosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trueing, "due", fail)


Break = Callable[[FakeCosts, pytest.MonkeyPatch], None]
BREAKS = [break_the_question, break_the_writing, break_the_booking]


@pytest.mark.parametrize("broken", BREAKS)
def test_it_stands_on_the_page_and_in_the_log_and_aws_is_asked_again_after_two_hours(
    counted: Tree, costs: FakeCosts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: Break
) -> None:
    broken(costs, monkeypatch)
    true_up_daily(costs, NOW)
    newest = drift.looks()[0]
    assert "Unforeseen" in newest.problem
    assert "secret" not in newest.problem  # staff of every course read it
    assert (newest.lines, newest.usage_usd) == (0, 0)
    [said] = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert said.exc_info
    assert said.exc_info[0] is Unforeseen
    for n in range(1, 12):
        assert true_up_daily(costs, NOW + n * SOON) == []
    assert costs.faults.count("usage") == 1
    true_up_daily(costs, NOW + 12 * SOON)
    assert costs.faults.count("usage") == 2


def test_the_control_when_nothing_breaks_aws_is_asked_once_a_day(counted: Tree, costs: FakeCosts) -> None:
    true_up_daily(costs, NOW)
    assert Reconciliation.objects.get().problem == ""
    for n in range(1, 120):
        assert true_up_daily(costs, NOW + n * SOON) == []
    assert true_up_daily(costs, NOW + 120 * SOON)


def test_what_was_known_before_stays(counted: Tree, costs: FakeCosts, monkeypatch: pytest.MonkeyPatch) -> None:
    reconcile_explorer(costs, now=NOW)
    bill_long_names(costs)
    with monkeypatch.context() as patch:
        patch.setattr(reconciling, "compare", fail)
        assert reconcile_explorer(costs, now=NOW + SOON).problem
    assert ProviderCost.objects.exclude(machine="").get().usage_usd == Decimal("0.526")
    assert drift.latest() == Reconciliation.objects.get(problem="")


def test_the_other_source_is_read_all_the_same(
    counted: Tree, costs: FakeCosts, tmp_path: Path, settings: Settings
) -> None:
    settings.COST_EXPORT = "s3://bills/cur/daily"
    costs.files["2019-03"] = {"p.csv": write_csv(tmp_path / "p.csv", [Line(MORNING, "mada", T4, "0.526")])}
    costs.faults.break_before("usage", Unforeseen("x"))
    explorer, export = true_up_daily(costs, NOW)
    assert (bool(explorer.problem), export.problem, export.usage_usd) == (True, "", Decimal("0.526"))
    costs.faults.break_before("fetch", Unforeseen("x"))
    explorer, export = true_up_daily(costs, NOW + timedelta(days=1))
    assert (explorer.problem, "Unforeseen" in export.problem) == ("", True)


# ------------------------------------------------------------------ two sources, each in its own time
LATER = timedelta(hours=2)


@pytest.fixture
def both(costs: FakeCosts, tmp_path: Path, settings: Settings) -> FakeCosts:
    settings.COST_EXPORT = "s3://bills/cur/daily"
    costs.files["2019-03"] = {"p.csv": write_csv(tmp_path / "p.csv", [Line(MORNING, "mada", T4, "0.526")])}
    return costs


def asked(costs: FakeCosts, now: datetime) -> list[tuple[str, bool]]:
    """Which sources a round looked at, and whether they failed."""
    return [(look.source, bool(look.problem)) for look in true_up_daily(costs, now)]


def test_explorer_that_fails_is_asked_again_after_two_hours_though_the_export_is_fine(
    counted: Tree, both: FakeCosts
) -> None:
    both.faults.break_before("usage", Transient("down"))
    assert asked(both, NOW) == [("explorer", True), ("export", False)]
    assert asked(both, NOW + LATER - SOON) == []
    assert asked(both, NOW + LATER) == [("explorer", False)]
    assert asked(both, NOW + trueing.EVERY) == [("export", False)]
    assert asked(both, NOW + trueing.EVERY + LATER) == [("explorer", False)]


@pytest.mark.parametrize("error", [Transient("down"), Unforeseen("x")])
def test_an_export_that_fails_for_days_makes_no_question_that_is_paid_for(
    counted: Tree, both: FakeCosts, error: Exception
) -> None:
    both.faults.break_before("fetch", error, times=None)
    assert asked(both, NOW) == [("explorer", False), ("export", True)]
    for n in range(1, 10):
        assert asked(both, NOW + n * LATER) == [("export", True)]
    assert asked(both, NOW + 10 * LATER) == [("explorer", False), ("export", True)]
    assert both.faults.count("usage") == 2


def test_a_month_that_cannot_be_read_is_read_again_though_the_next_one_is_fine(counted: Tree, both: FakeCosts) -> None:
    both.files["2019-02"] = {"broken.csv": both.files["2019-03"]["p.csv"].with_name("broken.csv")}
    both.files["2019-02"]["broken.csv"].write_text("no export")
    assert asked(both, NOW) == [("explorer", False), ("export", True), ("export", False)]
    del both.files["2019-02"]
    assert asked(both, NOW + LATER) == [("export", False)]
    assert asked(both, NOW + 2 * LATER) == []


@pytest.mark.parametrize("source", ["explorer", "export"])
def test_booking_that_breaks_off_is_tried_again_for_its_own_source_alone(
    counted: Tree, both: FakeCosts, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    def due(look: Reconciliation) -> list[Drift]:
        if look.source == source:
            raise Unforeseen
        return []

    monkeypatch.setattr(trueing, "due", due)
    assert asked(both, NOW) == [("explorer", False), ("export", False), (source, True)]
    assert asked(both, NOW + LATER) == [(source, False), (source, True)]


def test_what_a_person_asked_for_does_not_count(counted: Tree, both: FakeCosts, cast: Cast) -> None:
    reconcile_explorer(both, now=NOW, who=cast.instructor.user)
    assert asked(both, NOW + SOON) == [("explorer", False), ("export", False)]


# ------------------------------------------------------------------ the task
@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> FakeBilling:
    fake = FakeBilling()
    fake.grant(Decimal(500))
    monkeypatch.setattr(tasks, "course_account", lambda: fake)
    return fake


def test_with_long_names_in_the_account_the_task_ends_well_and_notes_the_credit(
    cast: Cast, counted: Tree, account: FakeBilling, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = FakeCosts()
    for name in LONG:
        costs.bill(datetime.now(UTC).date() - timedelta(days=5), name, T4, "1", "1")
    monkeypatch.setattr(tasks, "costs", lambda: costs)
    for _beat in range(3):
        tasks.daily_true_up()
    assert Reconciliation.objects.get().problem == ""
    assert costs.faults.count("usage") == 1
    assert AccountCredit.objects.get().left_usd == 500


def test_the_credit_is_noted_when_the_true_up_cannot_even_begin(
    cast: Cast, account: FakeBilling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the error is not swallowed: the worker logs it with the task."""
    monkeypatch.setattr(tasks, "costs", fail)
    with pytest.raises(Unforeseen):
        tasks.daily_true_up()
    assert AccountCredit.objects.get().left_usd == 500
