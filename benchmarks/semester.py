"""`make bench-semester`: a whole semester of a course through the product's own code, in virtual time.

100 students in 20 teams, 16 weeks of spring 2019, $30,000. Beside it, the same people in the same weeks without the
portal (machines by hand), and with the alarm that tutorials advise ("CPU below 5 % for an hour: stop"). Replaced are
the clock and the cloud only: `semester_world.py` says which rounds are run. Seeded: the same semester each time.

A database of its own in a temporary folder (SQLite), deleted afterwards.
Environment: BENCH_STUDENTS (100), BENCH_WEEKS (16), BENCH_SEED (157).
"""

import json
import os
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from benchmarks.semester_people import BEHAVIOUR, ZONE, Semester, semester
from benchmarks.semester_without import Tally, by_hand, with_alarm

if TYPE_CHECKING:  # models can be had only once the database is there
    from benchmarks.semester_judge import Stop

STUDENTS = int(os.environ.get("BENCH_STUDENTS", "100"))
WEEKS = int(os.environ.get("BENCH_WEEKS", "16"))
SEED = int(os.environ.get("BENCH_SEED", "157"))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="lamplighter-bench-") as var:
        os.environ |= {
            "DATABASE_URL": f"sqlite:///{var}/semester.sqlite3",
            "LAMPLIGHTER_VAR": var,
            "LAMPLIGHTER_DEMO": "1",  # only for its secrets: nothing is served
            "LAMPLIGHTER_LOG_LEVEL": "CRITICAL",  # an hour of throttling is asked for
            "LAMPLIGHTER_EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend",
            "DJANGO_SETTINGS_MODULE": "portal.settings",
        }
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=OFF")  # nobody needs it after a crash
        from benchmarks.semester_stage import replay

        plan = semester(SEED, STUDENTS, WEEKS)
        began = time.perf_counter()
        found = replay(
            plan, SEED, progress=lambda week: print(f"  week {week} after {time.perf_counter() - began:.0f} s")
        )
        tell(plan, found, time.perf_counter() - began)


@dataclass(frozen=True)
class Outcome:
    """What `replay` found. USD and minutes."""

    spent: float
    true_spent: float
    wasted: float
    wasted_by_cheat: float
    max_over_cap: float
    stops: "list[Stop]"
    off: list[float]  # minutes, sorted
    hours: float
    warnings: int
    refused: dict[str, int]
    counts: dict[str, int]
    books: list[str]  # what does not add up
    ticks: int
    sweeps: dict[str, int]
    usd_hour: dict[str, float]

    @property
    def stopped_at_work(self) -> "list[Stop]":
        """By the rule of idleness or the machine's own watch: must be none."""
        return [stop for stop in self.stops if stop.worked and stop.cause in ("idle rule", "own watch")]

    @property
    def cut_by_cap(self) -> "list[Stop]":
        return [stop for stop in self.stops if stop.worked and stop.cause == "paid time over"]


def keys(plan: Semester, found: Outcome, hand: Tally, alarm: Tally) -> dict[str, float]:
    from benchmarks.semester_judge import percentile

    return {
        "spent": round(found.spent, 2),
        "wasted": round(found.wasted, 2),
        "wasted_without_portal": round(hand.wasted_usd, 2),
        "wasted_cpu_alarm": round(alarm.wasted_usd, 2),
        "max_over_cap": round(found.max_over_cap, 2),
        "working_stopped": len(found.stopped_at_work),
        "off_p50_min": round(percentile(found.off, 0.5), 1),
        "off_p95_min": round(percentile(found.off, 0.95), 1),
    }


def tell(plan: Semester, found: Outcome, seconds: float) -> None:
    from benchmarks.semester_judge import told_of

    hand = by_hand(plan.sittings, found.usd_hour, plan.ends_at)
    alarm = with_alarm(plan.sittings, found.usd_hour, plan.ends_at)
    told = keys(plan, found, hand, alarm)
    weeks = (plan.ends_at - plan.starts_at) / timedelta(weeks=1)
    print(
        f"{len(plan.people)} students, {weeks:.0f} weeks from {plan.starts_at.astimezone(ZONE):%d %b %Y}, seed {SEED}:"
    )
    print(
        f"  {len(plan.sittings):,} sittings planned; {seconds:.0f} s for {found.ticks:,} minutes looked at,"
        f" {found.sweeps}"
    )
    print("  " + ", ".join(f"{name} {share:g}" for name, share in BEHAVIOUR.items()))
    print(f"  {'':<44}{'Lamplighter':>14}{'by hand':>12}{'CPU alarm':>12}")
    usd = "  {:<44}{:>14,.2f}{:>12,.2f}{:>12,.2f}".format
    print(usd("spent on machines and disks, USD", found.spent, hand.usd, alarm.usd) + "   (the others: machines only)")
    print(usd("of that with nobody's work going on", found.wasted, hand.wasted_usd, alarm.wasted_usd))
    print(usd("  the cheat's part", found.wasted_by_cheat, 0, 0).replace("        0.00        0.00", ""))
    print(usd("machine hours", found.hours, hand.on, alarm.on))
    print(f"  {'working machines stopped':<44}{told['working_stopped']:>14}{0:>12}{alarm.working_stopped:>12}")
    away = sum(not stop.portal_up for stop in found.cut_by_cap)
    print(
        f"  {'work that ended with its paid time':<44}{len(found.cut_by_cap):>14}"
        f"   (of these with the portal down: {away})"
    )
    print(f"  {'most over any cap, USD':<44}{told['max_over_cap']:>14.2f}{'no cap':>12}{'no cap':>12}")
    print(f"  {'books against the bill, USD':<44}{found.spent - found.true_spent:>+14.2f}")
    print(f"  {'last use to off, minutes: median, 95 %, most':<44}{_three(found.off):>14}")
    per_week = found.warnings / len(plan.people) / weeks
    print(f"  {'warnings per student and week':<44}{per_week:>14.2f}")
    for stop in found.stopped_at_work:
        print(f"    {told_of(stop)}")
    print(f"  refused: {found.refused}; {found.counts}; books: {found.books or 'add up'}")
    print(json.dumps(told))


def _three(values: list[float]) -> str:
    from benchmarks.semester_judge import percentile

    most = values[-1] if values else 0.0
    return f"{percentile(values, 0.5):.1f} {percentile(values, 0.95):.1f} {most:.1f}"


if __name__ == "__main__":
    main()
