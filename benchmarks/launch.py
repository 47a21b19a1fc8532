"""`make bench-launch`: the portal's own time from click to RunInstances, and from "the machine answers" to "the page
says ready", with 1, 50 and 500 launches at once, through the production server, Redis and Celery, on PostgreSQL.

Beside it, in the same run against the same simulated AWS: a bare boto3 script, `run_instances` and a wait loop. Then
the AWS calls of one round of the sweeps with 100, 1,000 and 10,000 machines beside the fewest that the API allows
(`bench-sweep` measures how long those take).

A click is timed where it is sent; RunInstances where the simulated AWS has it. Everybody who waits keeps their page
open, which asks again as often as it says itself. Needs PostgreSQL at DATABASE_URL and Redis at BENCH_REDIS_URL
(redis://127.0.0.1:6379/15); makes a database of its own and drops it. Environment: N ("1 50 500"), BENCH_SIZES
("100 1000 10000"), BENCH_WORKERS (2 workers of 4 processes), BENCH_SECONDS (300, for each crowd), BENCH_PORT.
"""

import asyncio
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.claim import ADDRESS, ROOT, database, server, sessions
from benchmarks.endpoint import Endpoint, own_endpoint
from benchmarks.launch_bare import bare_launches
from benchmarks.launch_people import Student, all_launch

CROWDS = [int(word) for word in os.environ.get("N", "").split()] or [1, 50, 500]
SIZES = [int(word) for word in os.environ.get("BENCH_SIZES", "100 1000 10000").split()]
WORKERS, PROCESSES = int(os.environ.get("BENCH_WORKERS", "2")), 4
SECONDS = float(os.environ.get("BENCH_SECONDS", "300"))
WARM = 2 * WORKERS * PROCESSES
REDIS = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/15")


@dataclass(frozen=True)
class Crowd:
    """What was measured of so many launches at once. Seconds; each list in order."""

    count: int
    to_call: list[float]  # from the click to RunInstances
    lag: list[float]  # from an answering notebook to a page that says so
    answered: list[float]  # of the click itself
    calls: Counter[str]
    looks: int
    failed: list[str]


def main() -> None:
    aws_port = ADDRESS[1] + 1
    with database() as url, tempfile.TemporaryDirectory() as var, own_endpoint(0, aws_port) as aws:
        os.environ |= _environment(url, var, aws)
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        seed(WARM + sum(CROWDS))
        aws.ask("POST", "settings", {"boot_seconds": 2.0})
        print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; {WORKERS} workers of {PROCESSES} processes")
        with server(Path(var)), workers(Path(var)):
            pairs = measure(aws)
        rounds = [sweep_calls(size) for size in SIZES]
    tell(pairs, rounds)


def _environment(url: str, var: str, aws: Endpoint) -> dict[str, str]:
    network = aws.ask("GET", "network")
    return {
        "DATABASE_URL": url,
        "LAMPLIGHTER_VAR": var,
        "LAMPLIGHTER_DEMO": "1",  # only for its secrets and the endpoint; the server listens on this machine alone
        "LAMPLIGHTER_LOG_LEVEL": "WARNING",
        "LAMPLIGHTER_EMAIL_BACKEND": "django.core.mail.backends.locmem.EmailBackend",
        "LAMPLIGHTER_BROKER_URL": REDIS,
        "LAMPLIGHTER_INSTALLATION": aws.installation,
        "LAMPLIGHTER_AWS_SUBNETS": ",".join(f"{zone}={subnet}" for zone, subnet in network["subnets"].items()),
        "LAMPLIGHTER_AWS_SECURITY_GROUP": network["security_group"],
        "LAMPLIGHTER_AWS_SCHEDULER_ROLE_ARN": network["scheduler_role_arn"],
        "LAMPLIGHTER_PORTAL_URL": f"http://{ADDRESS[0]}:{ADDRESS[1]}",
        "BENCH_IMAGE": network["image_id"],
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_REGION": "us-east-1",
        "DJANGO_SETTINGS_MODULE": "benchmarks.server_settings",
    }


# ------------------------------------------------------------------ the stage
def seed(students: int) -> None:
    """A course whose students all have money for one machine."""
    from datetime import UTC, datetime, timedelta
    from decimal import Decimal

    from benchmarks.crowd_rows import people
    from courses.models import Course
    from instances.models import Preset
    from spend.opening import open_budgets

    now = datetime.now(UTC)
    course = Course.objects.create(
        slug="bench", name="Benchmark", starts_on=now.date(), ends_on=now.date() + timedelta(days=100)
    )
    Preset.objects.create(
        course=course,
        slug="homework",
        name="Homework",
        instance_types=["g4dn.xlarge", "g6.xlarge"],
        image_id=os.environ["BENCH_IMAGE"],
        ceiling_usd_hour=1,
    )
    people(course, students)
    money = {"course_usd": Decimal(10**6), "team_usd": Decimal(0), "person_usd": Decimal(100)}
    open_budgets(course, **money, why="benchmark", who=None, now=now)


@contextmanager
def workers(var: Path) -> Iterator[None]:
    """As in production: some workers, one for the rounds, and the beat."""
    celery = [sys.executable, "-m", "celery", "-A", "portal"]
    commands = [[*celery, "beat", "--loglevel", "WARNING"]]
    for number in range(WORKERS):
        commands.append([*celery, "worker", "-n", f"bench{number}@%h", "--concurrency", str(PROCESSES), "-l", "INFO"])
    commands.append([*celery, "worker", "-n", "rounds@%h", "--queues", "rounds", "--concurrency", "2", "-l", "INFO"])
    logs = [var / f"celery-{number}.log" for number in range(len(commands))]
    found = []
    try:
        for command, log in zip(commands, logs, strict=True):
            with log.open("w") as out:
                found.append(subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, start_new_session=True))
        for log in logs[1:]:
            _wait_for(log)
        yield
    finally:
        for process in found:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        _forget_messages()


def _wait_for(log: Path) -> None:
    import time

    for _attempt in range(300):
        if " ready." in log.read_text():
            return
        time.sleep(0.2)
    raise SystemExit(f"A worker did not start:\n{log.read_text()}")


def _forget_messages() -> None:
    from celery import Celery

    with Celery(broker=REDIS).connection_for_write() as link:
        for queue in ("clicks", "rounds"):
            link.default_channel.queue_purge(queue)


# ------------------------------------------------------------------ measuring
def measure(aws: Endpoint) -> list[tuple[Crowd, Crowd]]:
    known = sessions()
    _product(aws, known[:WARM])  # each process's first answer and first call
    known, pairs = known[WARM:], []
    for count in CROWDS:
        bare = _bare(aws, count)
        pairs.append((_product(aws, known[:count]), bare))
        known = known[count:]
    return pairs


def _product(aws: Endpoint, keys: list[str]) -> Crowd:
    aws.reset_calls()
    students, answers_at = asyncio.run(all_launch(aws, keys, SECONDS))
    calls = aws.calls() or Counter()
    machines = {one["token"].rpartition("-")[0]: one for one in aws.ask("GET", "machines")}
    _check(students, machines)
    asked = [(machines[s.slug]["created_at"] - s.clicked_at, s) for s in students if s.slug in machines]
    lags = [s.ready_at - answers_at[machines[s.slug]["cloud_id"]] for _t, s in asked if s.ready_at]
    _end_all(aws)
    return Crowd(
        count=len(keys),
        to_call=sorted(seconds for seconds, _student in asked),
        lag=sorted(lags),
        answered=sorted(s.answered_s for s in students),
        calls=calls,
        looks=sum(s.looks for s in students),
        failed=[s.problem for s in students if s.problem],
    )


def _check(students: Sequence[Student], machines: dict[str, dict]) -> None:
    """One machine for each student, or it is no measurement."""
    slugs = [s.slug for s in students if s.slug]
    if len(set(slugs)) != len(students) or set(slugs) - set(machines):
        problems = Counter(s.problem for s in students if s.problem)
        raise SystemExit(f"{len(students)} clicked, {len(set(slugs) & set(machines))} have a machine: {problems}")


def _end_all(aws: Endpoint) -> None:
    """Nothing of this crowd is left to the next one: neither rows to sweep nor machines to list."""
    from benchmarks.crowd_rows import drop
    from instances.models import Instance

    ids = list(Instance.objects.exclude(cloud_id="").values_list("cloud_id", flat=True))
    drop(ids)
    aws.terminate(ids)


def _bare(aws: Endpoint, count: int) -> Crowd:
    found, answers_at, calls = bare_launches(aws, count, SECONDS)
    machines = {one["cloud_id"]: one for one in aws.ask("GET", "machines")}
    return Crowd(
        count=count,
        to_call=sorted(machines[one.cloud_id]["created_at"] - one.began_at for one in found),
        lag=sorted(one.ready_at - answers_at[one.cloud_id] for one in found if one.cloud_id in answers_at),
        answered=[],
        calls=calls,
        looks=0,
        failed=[],
    )


def sweep_calls(size: int) -> tuple[int, int, int]:
    """Machines, calls of one round, fewest that the API allows."""
    from benchmarks import crowd_rows, sweep

    with own_endpoint(size, ADDRESS[1] + 2) as endpoint:
        crowd_rows.seed(endpoint.cloud_ids, sweep.now())
        stage = sweep.Stage(endpoint)
        found = sweep.one_round(stage, sweep.product_sweeps)
        return size, found.calls.total(), sweep.minimum(size, len(stage.idle))


# ------------------------------------------------------------------ telling
def p(values: Sequence[float], share: float) -> float:
    """That share of the values is not above it."""
    return values[max(0, math.ceil(len(values) * share) - 1)] if values else math.nan


def tell(pairs: Sequence[tuple[Crowd, Crowd]], rounds: Sequence[tuple[int, int, int]]) -> None:
    print(f"  {'at once':<22}{'click → call':>22}{'answers → page':>22}{'click':>9}{'calls each':>12}{'looks':>7}")
    print(f"  {'':<22}{'p50':>11}{'p99':>11}{'p50':>11}{'p99':>11}{'p99':>9}")
    for product, bare in pairs:
        for name, one in (("portal", product), ("bare boto3", bare)):
            each = one.calls.total() / one.count
            figures = (p(one.to_call, 0.5), p(one.to_call, 0.99), p(one.lag, 0.5), p(one.lag, 0.99))
            click = f"{p(one.answered, 0.99):>7.2f} s" if one.answered else f"{'–':>9}"
            print(f"  {one.count:>4} {name:<17}" + "".join(f"{x:>9.2f} s" for x in figures) + click, end="")
            print(f"{each:>12.2f}{one.looks:>7}")
        if product.failed:
            print(f"       not ready: {dict(Counter(product.failed))}")
        print(f"       calls: {dict(product.calls)}")
    for size, calls, fewest in rounds:
        print(f"  one round over {size:,} machines: {calls} calls, at least {fewest}")
    largest = pairs[-1][0]
    found = {
        "n": largest.count,
        "click_to_call_p50_s": round(statistics.median(largest.to_call), 3),
        "click_to_call_p99_s": round(p(largest.to_call, 0.99), 3),
        "ready_lag_p99_s": round(p(largest.lag, 0.99), 3),
        "calls_per_launch": round(largest.calls.total() / largest.count, 3),
        "bare_click_to_call_p99_s": round(p(pairs[-1][1].to_call, 0.99), 3),
        "not_ready": len(largest.failed),
        "sweep_calls": {str(size): [calls, fewest] for size, calls, fewest in rounds},
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
