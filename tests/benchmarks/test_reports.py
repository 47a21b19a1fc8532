"""What `bench-reports` sends is what a machine sends."""

from benchmarks.reports import p, report
from instances.reports import parse


def test_a_benchmarks_report_is_one_that_the_portal_takes() -> None:
    first, second = (parse(report("m1", minute).partition(b"\r\n\r\n")[2]) for minute in (1, 2))
    assert first.boot_id == second.boot_id
    assert first.uptime_s < second.uptime_s
    assert first.cpu_s <= second.cpu_s


def test_a_share_of_few_values_is_one_of_them() -> None:
    assert (p([1.0, 2.0, 3.0], 0.5), p([1.0, 2.0, 3.0], 0.99), p([4.0], 0.5)) == (2.0, 3.0, 4.0)
