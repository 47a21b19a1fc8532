"""`make bench-dashboard`: every spend page on a semester of two million charges, beside the same on twenty thousand.

Two courses with the same thousand students, teams, days and running machines in one database; only the hours differ.
Pages are asked in turns, through the product's own doors in this process, and the median counts. Beside them, as the
baseline of "just sum the charges", one breakdown straight from the charge rows. First PostgreSQL, then SQLite.

Needs PostgreSQL at DATABASE_URL (default: this machine, user root); makes databases of its own and drops them.
Environment: BENCH_ROWS (2000000), BENCH_SMALL (20000), BENCH_STUDENTS (1000), BENCH_ROUNDS (15),
BENCH_DATABASES ("postgresql sqlite").
"""

import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.claim import database

ROOT = Path(__file__).resolve().parent.parent
ROWS = int(os.environ.get("BENCH_ROWS", "2000000"))
SMALL = int(os.environ.get("BENCH_SMALL", "20000"))
STUDENTS = int(os.environ.get("BENCH_STUDENTS", "1000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "15"))
DATABASES = os.environ.get("BENCH_DATABASES", "postgresql sqlite").split()
PAGE = "instructor: spend"  # the one that the keys are about


def main() -> None:
    if sys.argv[1:] == ["measure"]:
        print(json.dumps(measure()))
        return
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, median of {ROUNDS} rounds in turns")
    found = {kind: in_database(kind) for kind in DATABASES}
    first = found[DATABASES[0]]
    keys = ("rows", "p50_s", "p50_s_small", "ratio", "queries", "kb_compressed")
    print(json.dumps({**{key: first[key] for key in keys}, "rows_small": first["rows_small"], **found}))


def in_database(kind: str) -> dict[str, Any]:
    """Measured in a process of its own, because settings are read once."""
    with tempfile.TemporaryDirectory(prefix="lamplighter-bench-") as var:
        if kind == "sqlite":
            return _child(f"sqlite:///{var}/bench.sqlite3", var, kind)
        with database() as url:
            return _child(url, var, kind)


def _child(url: str, var: str, kind: str) -> dict[str, Any]:
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "LAMPLIGHTER_VAR": var,
        "LAMPLIGHTER_DEMO": "1",  # only for its secrets: nothing is served
        "LAMPLIGHTER_LOG_LEVEL": "CRITICAL",
        "DJANGO_SETTINGS_MODULE": "portal.settings",
    }
    command = [sys.executable, "-m", "benchmarks.dashboard", "measure"]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    tell(kind, found)
    return found


def tell(kind: str, found: dict[str, Any]) -> None:
    print(f"\n{kind}: {found['rows']:,} and {found['rows_small']:,} charges, seeded in {found['seed_s']} s")
    print("| page | median s | on the small course | × | queries | on the small | kB packed |")
    print("|---|---|---|---|---|---|---|")
    for name, page in found["pages"].items():
        print(
            f"| {name} | {page['p50_s']:.3f} | {page['p50_s_small']:.3f} | {page['ratio']:.2f} | {page['queries']} | "
            f"{page['queries_small']} | {page['kb']} |"
        )
    naive, naive_small = found["naive_s"], found["naive_s_small"]
    figures = f"{naive:.3f} | {naive_small:.3f} | {naive / naive_small:.2f} | 1 | 1 | –"
    print(f"| *baseline: one breakdown summed from the charges* | {figures} |", flush=True)


# ------------------------------------------------------------------ in the child
@dataclass
class Look:
    """One page of one course, as its person asks for it."""

    get: Callable[[], bytes]
    queries: int = 0
    body: bytes = b""


def measure() -> dict[str, Any]:
    import django
    from django.core.management import call_command

    django.setup()
    from benchmarks import dashboard_rows

    call_command("migrate", verbosity=0)
    now, began = datetime.now(UTC), time.monotonic()
    big = dashboard_rows.seed("big", students=STUDENTS, rows=ROWS, now=now)
    small = dashboard_rows.seed("small", students=STUDENTS, rows=SMALL, now=now)
    dashboard_rows.analyse()
    seconds = time.monotonic() - began
    pages = {name: compare(a, b) for (name, a), b in zip(looks(big).items(), looks(small).values(), strict=True)}
    naive = [timed(lambda course=one.course: naive_breakdown(course)) for one in (big, small)]
    page = pages[PAGE]
    return {
        "rows": big.rows,
        "rows_small": small.rows,
        "p50_s": page["p50_s"],
        "p50_s_small": page["p50_s_small"],
        "ratio": page["ratio"],
        "queries": page["queries"],
        "kb_compressed": page["kb"] + static_kb(),
        "naive_s": naive[0],
        "naive_s_small": naive[1],
        "seed_s": round(seconds),
        "pages": pages,
    }


def looks(semester: Any) -> dict[str, Look]:
    """Every page of the subject."""
    from django.urls import reverse

    slug, student = semester.course.slug, semester.students[0]
    machine = student.instances.get()
    instructor, sponsor = semester.instructor, semester.sponsor
    return {
        PAGE: look(instructor, reverse("spend", args=[slug])),
        "instructor: spend, last 7 days": look(instructor, reverse("spend", args=[slug]) + "?range=7"),
        "instructor: by person": look(instructor, reverse("spend_by", args=[slug, "person"])),
        "instructor: by team": look(instructor, reverse("spend_by", args=[slug, "team"])),
        "instructor: by day": look(instructor, reverse("spend_by", args=[slug, "day"])),
        "instructor: charges": look(instructor, reverse("spend_rows", args=[slug])),
        "instructor: idle charges of a team": look(
            instructor, f"{reverse('spend_rows', args=[slug])}?purpose=idle&team={student.team_id}"
        ),
        "instructor: weekly report": look(instructor, reverse("spend_report", args=[slug])),
        "instructor: bill": look(instructor, reverse("spend_bill", args=[slug])),
        "instructor: plan": look(instructor, reverse("spend_plan", args=[slug])),
        "instructor: budgets": look(instructor, reverse("course_budgets", args=[slug])),
        "instructor: alerts": look(instructor, reverse("course_alerts", args=[slug])),
        "instructor: kill switch": look(instructor, reverse("course_halt", args=[slug])),
        "staff page": look(instructor, reverse("course_staff", args=[slug])),
        "student: money": look(student, reverse("money", args=[slug])),
        "student: hour by hour": look(student, reverse("money_rows", args=[slug])),
        "student: receipt": look(student, reverse("receipt", args=[machine.slug, 1])),
        "sponsor": look(sponsor, reverse("sponsor")),
    }


def look(person: Any, path: str) -> Look:
    from django.conf import settings
    from django.test import Client

    settings.ALLOWED_HOSTS = ["testserver"]
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    client = Client()
    client.force_login(person.user)

    def get() -> bytes:
        answer = client.get(path)
        if answer.status_code != 200:
            raise SystemExit(f"{path}: {answer.status_code}")
        return bytes(answer.content)

    return Look(get)


def compare(big: Look, small: Look) -> dict[str, Any]:
    """First once with its questions counted, then in turns."""
    for one in (big, small):
        one.queries, one.body = counted(one.get)
    times: tuple[list[float], list[float]] = ([], [])
    for _round in range(ROUNDS):
        for one, taken in zip((big, small), times, strict=True):
            began = time.perf_counter()
            one.get()
            taken.append(time.perf_counter() - began)
    p50, p50_small = (statistics.median(taken) for taken in times)
    return {
        "p50_s": round(p50, 4),
        "p50_s_small": round(p50_small, 4),
        "ratio": round(p50 / p50_small, 3),
        "queries": big.queries,
        "queries_small": small.queries,
        "kb": round(len(gzip.compress(big.body)) / 1000, 1),
    }


def counted(get: Callable[[], bytes]) -> tuple[int, bytes]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as asked:
        body = get()
    return len(asked), body


def naive_breakdown(course: Any) -> None:
    """What a page without sums of its own would ask: days, kinds and presets straight from the charges."""
    from spend.rebuild import sums_by

    sums_by(course, "day", "kind", "group")


def timed(act: Callable[[], None]) -> float:
    taken = []
    for _round in range(3):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return round(statistics.median(taken), 4)


def static_kb() -> float:
    """What the first page loads besides itself: style sheets and scripts, packed."""
    files = [*(ROOT / "static/css").glob("*.css"), *(ROOT / "static/js").glob("*.js")]
    import django_htmx

    files += list(Path(django_htmx.__file__).parent.rglob("htmx*.min.js"))
    return round(sum(len(gzip.compress(file.read_bytes())) for file in files) / 1000, 1)


if __name__ == "__main__":
    main()
