"""`make bench-reports`: machines report N times a minute through the production server, on PostgreSQL, while students
look at their page: how many reports are taken, and what that does to the page.

The baseline is the same page at the same pace without reports, in the same run; the rounds take turns, and the median
counts. Reports and pages come at chance moments, each on a connection of its own, however long others wait: a time
counts from when it was due.

Needs PostgreSQL at DATABASE_URL (default: this machine, user root); makes a database of its own and drops it.
As in `deploy/`, reports have a process that yields to the pages; BENCH_TOGETHER=1 sends them to that of the pages.
Environment: N ("1000 10000", reports a minute), BENCH_SECONDS (20, for each part), BENCH_ROUNDS (3), BENCH_PORT.
"""

import hashlib
import json
import math
import os
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from benchmarks.claim import ADDRESS, PORT, ROUNDS, database, server, sessions
from benchmarks.load import Answers, Request, open_loop

PER_MINUTE = [int(word) for word in os.environ.get("N", "").split()] or [1_000, 10_000]
SECONDS = float(os.environ.get("BENCH_SECONDS", "20"))
PAGES_A_SECOND = 4
REPORTS = ADDRESS if os.environ.get("BENCH_TOGETHER") == "1" else (ADDRESS[0], PORT + 2)
SECRET = "the-secret-of-all-of-them"
MINUTE = 60


@dataclass(frozen=True)
class Part:
    """One stretch of a round. Seconds, in order."""

    pages: list[float]
    reports: list[float]


def main() -> None:
    with database() as url, tempfile.TemporaryDirectory(prefix="lamplighter-bench-") as var:
        os.environ |= {
            "DATABASE_URL": url,
            "LAMPLIGHTER_VAR": var,
            "LAMPLIGHTER_DEMO": "1",  # only for its secrets; the server listens on this machine alone
            "LAMPLIGHTER_LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "portal.settings",
        }
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        slugs = seed(max(PER_MINUTE))
        keys = sessions()
        print(
            f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; {ROUNDS} rounds of {SECONDS:.0f} s",
            flush=True,
        )
        with server(Path(var)), server(Path(var), port=PORT + 2, workers=1, nice=5):
            one_part(keys, [], number=0)  # each process's first answer
            found = {n: measure(n, slugs, keys, first=1 + i * ROUNDS) for i, n in enumerate(PER_MINUTE)}
        tell(found)


# ------------------------------------------------------------------ the stage
def seed(machines: int) -> list[str]:
    """A running machine for each of so many students, who have money; returns their names."""
    from benchmarks import crowd_rows
    from instances.models import Instance
    from spend.opening import open_budgets

    now = datetime.now(UTC)
    course = crowd_rows.seed([f"i-{n:017x}" for n in range(machines)], now)
    crowd_rows.reset([], now)
    money = {"course_usd": Decimal(10**7), "team_usd": Decimal(0), "person_usd": Decimal(100)}
    open_budgets(course, **money, why="benchmark", who=None, now=now)
    Instance.objects.update(agent_digest=hashlib.sha256(SECRET.encode()).hexdigest())
    return list(Instance.objects.order_by("pk").values_list("slug", flat=True))


def report(slug: str, minute: int) -> Request:
    """What an agent says in its `minute`-th minute: every other machine works."""
    worked = minute * MINUTE * (0.5 if hash(slug) % 2 else 0.0)
    said = {
        "boot_id": slug, "uptime_s": minute * MINUTE, "gpu_busy_s": worked, "cpu_s": worked, "io_bytes": worked * 1e6,
        "net_rx_bytes": worked * 1e4, "human_age_s": 30.0, "kernels_busy": int(worked > 0), "agent_version": "2",
        "gpu_percent": 40, "doings": [{"id": "k1", "name": "kernel 1", "busy": worked > 0, "cpu": 50, "gpu": True}],
        "done": None, "reclaim_s": None, "saved": None,
    }  # fmt: skip
    body = json.dumps(said)
    return (
        f"POST /agent/report HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {slug}:{SECRET}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def page(session: str) -> Request:
    return f"GET /c/bench0/ HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: lamplighter_session={session}\r\n\r\n".encode()


# ------------------------------------------------------------------ measuring
def measure(per_minute: int, slugs: list[str], keys: list[str], *, first: int) -> tuple[Part, Part]:
    """With and without reports."""
    parts: list[tuple[Part, Part]] = []
    for number in range(first, first + ROUNDS):
        share = slugs[: round(per_minute * SECONDS / MINUTE)]
        bare = one_part(keys, [], number=number)
        parts.append((one_part(keys, [report(slug, number) for slug in share], number=number), bare))
    return _median([one for one, _bare in parts]), _median([bare for _one, bare in parts])


def one_part(keys: list[str], reports: list[Request], *, number: int) -> Part:
    looks = [page(key) for key in keys[: int(PAGES_A_SECOND * SECONDS)]]
    with ThreadPoolExecutor(2) as pool:
        pages = pool.submit(open_loop, ADDRESS, looks, seconds=SECONDS, seed=number)
        others = pool.submit(open_loop, REPORTS, reports, seconds=SECONDS, seed=number) if reports else None
        return Part(_all_well(pages.result()), _all_well(others.result()) if others else [])


def _all_well(answers: Answers) -> list[float]:
    """Anything but 200 is no measurement."""
    if set(answers.statuses) != {200}:
        raise SystemExit(f"Not all were answered: {answers.statuses}")
    return answers.times


def _median(parts: list[Part]) -> Part:
    middle = statistics.median_low(p(one.pages, 0.5) for one in parts)
    return next(one for one in parts if p(one.pages, 0.5) == middle)


def p(values: list[float], share: float) -> float:
    """That share of the values is not above it; NaN of none."""
    return values[max(0, math.ceil(len(values) * share) - 1)] if values else math.nan


# ------------------------------------------------------------------ telling
def tell(found: dict[int, tuple[Part, Part]]) -> None:
    heads = ("taken", "report p50", "p99", "page p50", "p99", "without: p50", "p99")
    print(f"  {'reports a minute':>16}" + "".join(f"{head:>14}" for head in heads))
    told = {}
    for n, (part, bare) in found.items():
        taken = round(len(part.reports) * MINUTE / SECONDS)
        figures = {
            "reports_per_minute": taken,
            "report_p50_ms": p(part.reports, 0.5),
            "report_p99_ms": p(part.reports, 0.99),
            "page_p50_ms": p(part.pages, 0.5),
            "page_p99_ms": p(part.pages, 0.99),
            "bare_page_p50_ms": p(bare.pages, 0.5),
            "bare_page_p99_ms": p(bare.pages, 0.99),
        }
        told[str(n)] = {name: round(x * 1000, 1) if name.endswith("_ms") else x for name, x in figures.items()}
        shown = [f"{taken:,}", *(f"{x} ms" for x in list(told[str(n)].values())[1:])]
        print(f"  {n:>16,}" + "".join(f"{x:>14}" for x in shown))
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
