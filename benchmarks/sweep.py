"""`make bench-sweep N=…`: one full round of the sweeps over N running machines, a tenth of which is to be stopped.

Beside it, in the same run against the same endpoint: a bare boto3 sweep that makes the same decisions, with its facts
in memory and without a database. Both take turns, and the median counts. Calls are counted by botocore as they are
sent, repetitions included, and must be what the endpoint counts. Then: bad ids in the batch, and throttling.

Needs PostgreSQL at DATABASE_URL (default: this machine, user root); makes a database of its own and drops it. Starts
its own simulated AWS, or uses the endpoint at AWS_ENDPOINT_URL: machines are launched there, and terminated at the end.
Environment: N (100, 1000 and 10000, one after the other), BENCH_ROUNDS (3), BENCH_PORT (21900).
"""

import json
import math
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from benchmarks.claim import database
from benchmarks.endpoint import Endpoint, own_endpoint, running_endpoint

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SIZES = (100, 1000, 10_000)
DELAYS_MS = (0, 60)
PAGE, BATCH = 1000, 100
IDLE_SECONDS = 1800


def main() -> None:
    asked = os.environ.get("N", "")
    sizes = [int(asked)] if asked else list(SIZES)
    with database() as url, tempfile.TemporaryDirectory(prefix="lamplighter-bench-") as var:
        os.environ |= {
            "DATABASE_URL": url,
            "LAMPLIGHTER_VAR": var,
            "LAMPLIGHTER_DEMO": "1",  # only for its secrets: nothing is served
            "LAMPLIGHTER_LOG_LEVEL": "CRITICAL",  # bad ids and throttling are asked for
            "LAMPLIGHTER_EMAIL_BACKEND": "django.core.mail.backends.locmem.EmailBackend",
            "DJANGO_SETTINGS_MODULE": "portal.settings",
        }
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, median of {ROUNDS} rounds")
        for size in sizes:
            measure(size)


def measure(size: int) -> None:
    from benchmarks import crowd_rows

    url = os.environ.get("AWS_ENDPOINT_URL", "")
    with running_endpoint(url, size) if url else own_endpoint(size) as endpoint:
        crowd_rows.seed(endpoint.cloud_ids, now())
        stage = Stage(endpoint)
        pairs = {delay: compare(stage, delay) for delay in (DELAYS_MS if endpoint.is_simulator else (0,))}
        tell(size, stage, pairs)
        tell_trouble(stage)
        product, bare = pairs[0]
    found = {
        "n": size,
        "wall_s": round(product.wall_s, 3),
        "bare_wall_s": round(bare.wall_s, 3),
        "cpu_s": round(product.cpu_s, 3),
        "calls": product.calls.total(),
        "calls_minimum": minimum(size, len(stage.idle)),
    }
    print(json.dumps(found), flush=True)


def minimum(machines: int, to_stop: int, bad: int = 0) -> int:
    """Pages of a describe, batches of stops, and one more call for each bad id that an error names."""
    return math.ceil(machines / PAGE) + math.ceil(to_stop / BATCH) + bad


# ------------------------------------------------------------------ both sweeps
@dataclass
class Stage:
    """Two clients, one for each sweep, both counted; and which machines are to be stopped: each tenth."""

    endpoint: Endpoint
    calls: Counter[str] = field(default_factory=Counter)
    idle: list[str] = field(init=False)

    def __post_init__(self) -> None:
        import boto3

        from cloud.ec2 import Ec2Cloud

        self.idle = self.endpoint.cloud_ids[::10]
        session = boto3.session.Session(region_name="us-east-1")
        session.events.register("before-send.*", self._count)
        self.cloud = Ec2Cloud(self.endpoint.config(), session)
        self.ec2 = session.client("ec2", endpoint_url=self.endpoint.url)

    def _count(self, event_name: str, **_about: object) -> None:
        self.calls[event_name.rsplit(".", 1)[1]] += 1

    def reset(self) -> None:
        """Everything runs again, at the endpoint and in the rows."""
        from benchmarks import crowd_rows

        self.endpoint.start(self.idle)
        crowd_rows.reset(set(self.idle), now())
        self.calls.clear()
        self.endpoint.reset_calls()

    def forget(self, cloud_ids: Sequence[str]) -> None:
        """Those that a round with bad ids has terminated."""
        from benchmarks import crowd_rows

        self.endpoint.cloud_ids = [one for one in self.endpoint.cloud_ids if one not in set(cloud_ids)]
        self.idle = [one for one in self.idle if one not in set(cloud_ids)]
        crowd_rows.drop(cloud_ids)


@dataclass(frozen=True)
class Round:
    wall_s: float
    cpu_s: float
    calls: Counter[str]
    parts: dict[str, float]  # seconds of each sweep


def compare(stage: Stage, delay_ms: int) -> tuple[Round, Round]:
    """The median rounds of product and bare sweep."""
    stage.endpoint.delay(delay_ms)
    products, bares = [], []
    for _round in range(ROUNDS):
        bares.append(one_round(stage, bare_sweep))
        products.append(one_round(stage, product_sweeps))
    stage.endpoint.delay(0)
    return median(products), median(bares)


def median(rounds: Sequence[Round]) -> Round:
    wall = statistics.median_low(one.wall_s for one in rounds)
    return next(one for one in rounds if one.wall_s == wall)


Steps = list[tuple[str, Callable[[], object]]]


def one_round(stage: Stage, sweep: Callable[[Stage], Steps], bad: int = 0) -> Round:
    """`bad`: so many of those that are to be stopped are terminated after the look at them, unmeasured."""
    stage.reset()
    ended = stage.idle[:bad]
    wall, cpu, parts = 0.0, 0.0, {}
    for number, (name, step) in enumerate(sweep(stage)):
        if number == 1 and ended:
            stage.endpoint.terminate(ended)
        began, used = time.perf_counter(), time.process_time()
        step()
        parts[name] = time.perf_counter() - began
        wall, cpu = wall + parts[name], cpu + time.process_time() - used
    found = Round(wall, cpu, stage.calls.copy(), parts)
    check(stage, found, ended)
    return found


def product_sweeps(stage: Stage) -> Steps:
    """As the beat runs them, one after the other."""
    from instances import sweeps

    return [
        ("repair", lambda: sweeps.repair(stage.cloud, now(), probe=lambda places: [True] * len(places))),
        ("idle", lambda: sweeps.idle(stage.cloud, now())),
        ("lease", lambda: sweeps.lease(stage.cloud, now())),
        ("meter", lambda: sweeps.meter(now())),
        ("notices", lambda: sweeps.notices(now())),
    ]


def bare_sweep(stage: Stage) -> Steps:
    """What a script without a memory would do."""
    used_at = {
        one: time.time() - (2 * IDLE_SECONDS if one in set(stage.idle) else 30) for one in stage.endpoint.cloud_ids
    }
    running: list[str] = []

    def look() -> None:
        ours = {"Name": "tag:lamplighter:installation", "Values": [stage.endpoint.installation]}
        pages = stage.ec2.get_paginator("describe_instances").paginate(
            Filters=[ours], PaginationConfig={"PageSize": PAGE}
        )
        machines = (one for page in pages for group in page["Reservations"] for one in group["Instances"])
        running.extend(one["InstanceId"] for one in machines if one["State"]["Name"] == "running")

    def stop() -> None:
        idle = [one for one in running if time.time() - used_at[one] >= IDLE_SECONDS]
        for first in range(0, len(idle), BATCH):
            stage.ec2.stop_instances(InstanceIds=idle[first : first + BATCH])

    return [("look", look), ("stop", stop)]


def check(stage: Stage, found: Round, ended: Sequence[str]) -> None:
    """A round that did not do the work, or whose calls were not counted right, is no measurement."""
    left = set(stage.endpoint.running()) & set(stage.idle)
    kept = set(stage.endpoint.cloud_ids) - set(stage.idle) - set(stage.endpoint.running())
    if left or kept:
        raise SystemExit(f"{len(left)} machines still run that were to be stopped, {len(kept)} others do not.")
    counted = stage.endpoint.calls()
    if counted is not None and any(counted[name] != number for name, number in found.calls.items()):
        raise SystemExit(f"botocore sent {dict(found.calls)}, the endpoint had {counted}")


def now() -> datetime:
    return datetime.now(UTC)


# ------------------------------------------------------------------ trouble
def tell_trouble(stage: Stage) -> None:
    for bad in (1, 5):
        if len(stage.idle) <= bad:
            continue
        wanted = minimum(len(stage.endpoint.cloud_ids), len(stage.idle), bad)
        found = one_round(stage, product_sweeps, bad)
        print(f"  {bad} bad id(s) among {len(stage.idle)} to stop: {found.calls.total()} calls, minimum {wanted}")
        stage.forget(stage.idle[:bad])
    if not stage.endpoint.is_simulator:
        return
    stage.endpoint.fault("StopInstances", "RequestLimitExceeded", times=2)
    found = one_round(stage, product_sweeps)
    print(f"  throttled twice: {found.wall_s:.2f} s, calls {dict(found.calls)}")


# ------------------------------------------------------------------ telling
def tell(size: int, stage: Stage, pairs: dict[int, tuple[Round, Round]]) -> None:
    print(f"{size:,} machines, {len(stage.idle):,} to stop, calls at the minimum {minimum(size, len(stage.idle))}")
    print(f"  {'delay':<8}{'wall':>9}{'bare wall':>11}{'ratio':>7}{'CPU':>8}{'bare CPU':>10}{'calls':>7}{'bare':>6}")
    for delay, (product, bare) in pairs.items():
        ratio = product.wall_s / bare.wall_s
        print(
            f"  {delay:>3} ms  {product.wall_s:>7.2f} s{bare.wall_s:>9.2f} s{ratio:>7.2f}{product.cpu_s:>6.2f} s"
            f"{bare.cpu_s:>8.2f} s{product.calls.total():>7}{bare.calls.total():>6}"
        )
        parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in product.parts.items())
        print(f"          {parts}; bare: {', '.join(f'{k} {v:.2f}' for k, v in bare.parts.items())}")


if __name__ == "__main__":
    main()
