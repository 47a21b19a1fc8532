"""Data out: counted once however reports arrive, summed by day, shown as an estimate, and part of no budget."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from instances.egress import count_data_out, data_out_in, data_out_of
from instances.models import Instance, Run
from instances.reports import SENT_PER_SECOND, Report, take_report
from spend.models import Charge, Hold
from tests.machine.conftest import at

BOOT = Report("boot-1", 0, 0, 0, 0, 0, None, 0, "3", net_tx_bytes=0)


@pytest.fixture
def run(machine: Instance) -> Run:
    same = {"instance_type": "g4dn.xlarge", "price_usd_hour": 1, "address_usd_hour": 0}
    return Run.objects.create(instance=machine, number=machine.run_number, started_at=at(0), **same)


def tell(run: Run, *reports: tuple[float, float | None, str]) -> int:
    """(uptime, bytes so far, boot) in the order of their arrival; returns what the run has sent."""
    for uptime, sent, boot in reports:
        machine = Instance.objects.get(pk=run.instance_id)
        report = replace(BOOT, uptime_s=uptime, net_tx_bytes=sent, boot_id=boot)
        take_report(machine, report, now=at(uptime + (1000 if boot == "boot-2" else 0)))
    run.refresh_from_db()
    return run.sent_bytes


@pytest.mark.parametrize(
    ("reports", "sent"),
    [
        ([(60, 5, "boot-1"), (120, 9, "boot-1")], 9),
        ([(60, 5, "boot-1"), (60, 5, "boot-1"), (120, 9, "boot-1")], 9),  # said twice
        ([(60, 5, "boot-1"), (180, 12, "boot-1"), (120, 9, "boot-1")], 12),  # out of order
        ([(60, 5, "boot-1"), (63, 8, "boot-1"), (120, 9, "boot-1")], 9),  # one too short to be judged
        ([(60, 5, "boot-1"), (120, 2, "boot-1")], 7),  # the agent began anew
        ([(60, 5, "boot-1"), (60, 3, "boot-2")], 8),  # the machine did
        ([(60, 1e18, "boot-1"), (120, 0, "boot-1"), (180, 1e18, "boot-1")], 120 * SENT_PER_SECOND),  # root says so
        ([(60, None, "boot-1"), (120, None, "boot-1")], 0),  # an agent that does not count it
    ],
)
def test_what_was_sent_is_counted_once(run: Run, reports: list[tuple[float, float | None, str]], sent: int) -> None:
    assert tell(run, *reports) == sent


def test_it_is_summed_by_day_and_told_as_the_most_that_it_may_cost(run: Run) -> None:
    tell(run, (60, 5e9, "boot-1"))
    day = at(0).date()
    for _twice in range(2):
        assert count_data_out(at(0) + timedelta(days=3)) == 1
    found = data_out_in(run.instance.course, day, day)
    assert (found.gb, found.most_usd) == (5, Decimal("0.45"))
    assert data_out_in(run.instance.course, day + timedelta(days=1), day + timedelta(days=9)).sent_bytes == 0
    assert data_out_of(run.instance.owner).gb == 5
    assert count_data_out(at(0) + timedelta(days=15)) == 0  # long over: left as it was counted
    assert not Charge.objects.exists()
    assert not Hold.objects.exists()


def test_more_than_a_number_can_hold_is_counted_as_the_most(run: Run) -> None:
    most = 2**63 - 1
    Run.objects.update(sent_bytes=most, ended_at=at(1))
    run.pk, run.number, run.sent_bytes = None, run.number + 1, 5
    run.save()
    assert count_data_out(at(0)) == 1
    assert data_out_in(run.instance.course, at(0).date(), at(0).date()).sent_bytes == most
