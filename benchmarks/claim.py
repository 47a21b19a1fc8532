"""`make bench-claim`: claims per second through HTTP, on PostgreSQL and with the production server.

Beside it, in the same run on the same database: `pgbench` with the bare SKIP LOCKED update, and a signed-in view that
does one read (the framework's floor). Then 1,000 students who claim within ten seconds, each tenth from two tabs. The
rounds take turns, and the median counts, because the machine is rarely ours alone. The load comes from `load.py`
(asyncio, prepared bytes), on the same processors as everything else.

Needs PostgreSQL at DATABASE_URL (default: this machine, user root); makes a database of its own and drops it.
Environment: BENCH_PORT (21800), BENCH_ROUNDS (3), BENCH_CLAIMS (2000 per round).
"""

import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

import dj_database_url
import psycopg
from psycopg import sql

from benchmarks.load import Answers, Request, closed_loop, open_loop

if TYPE_CHECKING:  # models can be had only once the database is there
    from django.db.backends.base.base import BaseDatabaseWrapper

    from credits.models import CodeBatch

ROOT = Path(__file__).resolve().parent.parent
PORT = int(os.environ.get("BENCH_PORT", "21800"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
CLAIMS = int(os.environ.get("BENCH_CLAIMS", "2000"))
CLIENTS, WORKERS, THREADS = 16, 2, int(os.environ.get("BENCH_THREADS", "4"))
PGBENCH_SECONDS, PGBENCH_CODES = 5, 60_000
BURST, BURST_SECONDS = 1000, 10.0
ADDRESS = ("127.0.0.1", PORT)
SERVER = dj_database_url.parse(os.environ.get("DATABASE_URL") or "postgres://root@127.0.0.1:5432/postgres")
NAME = f"lamplighter_bench_{os.getpid()}"
CSRF = secrets.token_hex(16)


def main() -> None:
    with database() as url, tempfile.TemporaryDirectory(prefix="lamplighter-bench-") as var:
        os.environ |= {
            "DATABASE_URL": url,
            "LAMPLIGHTER_VAR": var,
            "LAMPLIGHTER_DEMO": "1",  # only for its secrets; the server below listens on this machine alone
            "LAMPLIGHTER_LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "benchmarks.server_settings",
        }
        import django

        django.setup()
        prepare()
        with server(Path(var)):
            measure()


# ------------------------------------------------------------------ the stage
@contextmanager
def database() -> Iterator[str]:
    login = f"{SERVER['USER']}:{SERVER['PASSWORD']}" if SERVER["PASSWORD"] else SERVER["USER"]
    at = f"{SERVER['HOST'] or '127.0.0.1'}:{SERVER['PORT'] or 5432}"
    with psycopg.connect(f"postgres://{login}@{at}/postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
        try:
            yield f"postgres://{login}@{at}/{NAME}"
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(NAME)))


def prepare() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from django.db import connection

    from credits.models import CodeBatch

    students = seed()
    for name in ("Rounds", "Burst"):
        make_batch(name, codes=len(students))
    bare = make_batch("Bare", codes=0)
    with connection.cursor() as cursor:  # rows as large as real ones; nobody ever opens them
        cursor.execute(
            "INSERT INTO credits_creditcode (batch_id, ciphertext, digest, last4, status, entitlement)"
            " SELECT %s, repeat('x', 140), md5(n::text), '0000', 'available', '' FROM generate_series(1, %s) n",
            [bare.pk, PGBENCH_CODES],
        )
        cursor.execute("VACUUM ANALYZE")
    assert CodeBatch.objects.count() == 3


def seed() -> list[int]:
    """A course with enough students for all rounds; returns their roster lines."""
    from datetime import UTC, datetime, timedelta

    from courses.models import Course, Enrollment, User

    today = datetime.now(UTC).date()
    course = Course.objects.create(slug="bench", name="Benchmark", starts_on=today, ends_on=today + timedelta(days=100))
    count = max(ROUNDS * CLAIMS, BURST)
    users = User.objects.bulk_create(
        [User(email=f"s{n}@bench.edu", full_name=f"Student {n}", password="!") for n in range(count)], batch_size=1000
    )
    lines = [Enrollment(course=course, user=user, email=user.email, name=user.full_name) for user in users]
    return [line.pk for line in Enrollment.objects.bulk_create(lines, batch_size=1000)]


def make_batch(name: str, codes: int) -> "CodeBatch":
    from datetime import UTC, datetime
    from decimal import Decimal

    from courses.models import Course
    from credits.models import CodeBatch
    from credits.stock import add_codes

    batch = CodeBatch.objects.create(course=Course.objects.get(), name=name, value_usd=Decimal(100))
    lines = ((n, f"PCBENCH{secrets.token_hex(6)}") for n in range(codes))
    add_codes(batch, lines, who=None, now=datetime.now(UTC))
    return batch


@contextmanager
def server(var: Path, *, port: int = PORT, workers: int = WORKERS, nice: int = 0) -> Iterator[None]:
    command = [
        *("nice", "-n", str(nice), sys.executable, "-m", "granian", "--interface", "wsgi"),
        *("--host", ADDRESS[0], "--port", str(port)),
        *("--workers", str(workers), "--blocking-threads", str(THREADS), "--no-access-log"),
        "portal.wsgi:application",
    ]
    said = var / f"server-{port}.log"
    with said.open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for_server(said, port)
            yield
        finally:
            process.terminate()
            process.wait(20)


def wait_for_server(log: Path, port: int) -> None:
    for _attempt in range(150):
        try:
            urllib.request.urlopen(f"http://{ADDRESS[0]}:{port}/accounts/logout/", timeout=2).close()
            return
        except OSError as error:
            if hasattr(error, "code"):  # an answer, whatever it says
                return
            time.sleep(0.2)
    raise SystemExit(f"The server does not answer:\n{log.read_text()}")


# ------------------------------------------------------------------ requests
def sessions() -> list[str]:
    """A signed-in session for every student, in the order of the roster."""
    from datetime import timedelta

    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.models import Session
    from django.utils import timezone

    from courses.models import User

    store, rows = SessionStore(), []
    for user in User.objects.order_by("pk"):
        data = {
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: "allauth.account.auth_backends.AuthenticationBackend",
            HASH_SESSION_KEY: user.get_session_auth_hash(),
        }
        expires = timezone.now() + timedelta(days=1)
        rows.append(Session(session_key=secrets.token_hex(16), session_data=store.encode(data), expire_date=expires))
    Session.objects.bulk_create(rows, batch_size=1000)
    return [row.session_key for row in rows]


def get_floor(session: str) -> Request:
    return (f"GET /bench/floor HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: lamplighter_session={session}\r\n\r\n").encode()


def post_claim(session: str, batch_id: int) -> Request:
    body = f"csrfmiddlewaretoken={CSRF}"
    return (
        f"POST /c/bench/claim/{batch_id} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Cookie: lamplighter_session={session}; lamplighter_csrf={CSRF}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


# ------------------------------------------------------------------ measuring
def measure() -> None:
    from credits.models import CodeBatch

    ids = dict(CodeBatch.objects.values_list("name", "pk"))
    known = sessions()
    run([get_floor(key) for key in known[:400]], 200)  # warm
    floors, claims, bare = [], [], []
    for number in range(ROUNDS):
        share = known[number * CLAIMS : (number + 1) * CLAIMS]
        floors.append(run([get_floor(key) for key in share], 200))
        claims.append(run([post_claim(key, ids["Rounds"]) for key in share], 302))
        bare.append(pgbench(ids["Bare"]))
    burst = [post_claim(key, ids["Burst"]) for key in known[:BURST]]
    answers = open_loop(ADDRESS, burst + burst[::10], seconds=BURST_SECONDS)
    expect(answers, 302)
    check_all_served(ids["Rounds"], ROUNDS * CLAIMS)
    check_all_served(ids["Burst"], BURST)
    tell(floors, claims, bare, answers)


def run(requests: list[Request], status: int) -> float:
    """Answers per second."""
    answers = closed_loop(ADDRESS, requests, clients=CLIENTS)
    expect(answers, status)
    return len(requests) / answers.seconds


def expect(answers: Answers, status: int) -> None:
    if set(answers.statuses) != {status}:
        raise SystemExit(f"Expected only {status}, had {answers.statuses}")


def pgbench(batch_id: int) -> float:
    """Codes per second that PostgreSQL itself hands out, with as many clients as the server has threads."""
    program = shutil.which("pgbench") or next(iter(sorted(glob("/usr/lib/postgresql/*/bin/pgbench"))[::-1]), "")
    if not program:
        raise SystemExit("pgbench is missing: it comes with PostgreSQL (Debian/Ubuntu: apt install postgresql).")
    from django.db import connection

    from courses.models import Enrollment

    script = (
        "UPDATE credits_creditcode SET status = 'claimed', claimed_at = now(), entitlement = id::text,"
        f" holder_id = {Enrollment.objects.order_by('pk').values_list('pk', flat=True)[0]}"
        " WHERE id = (SELECT id FROM credits_creditcode"
        f" WHERE batch_id = {batch_id} AND status = 'available' ORDER BY id + 0 LIMIT 1 FOR UPDATE SKIP LOCKED);\n"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        clients = str(WORKERS * THREADS)
        command = [program, "-n", "-M", "prepared", "-f", file.name, "-c", clients, "-j", "2"]
        taken = left(connection, batch_id)
        done = subprocess.run(
            [*command, "-T", str(PGBENCH_SECONDS), *pg_arguments()], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    taken -= left(connection, batch_id)
    reset(connection, batch_id)
    return taken / PGBENCH_SECONDS


def pg_arguments() -> list[str]:
    return ["-h", SERVER["HOST"] or "127.0.0.1", "-p", str(SERVER["PORT"] or 5432), "-U", SERVER["USER"], NAME]


def left(connection: "BaseDatabaseWrapper", batch_id: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM credits_creditcode WHERE batch_id = %s AND status = 'available'", [batch_id]
        )
        return cursor.fetchone()[0]


def reset(connection: "BaseDatabaseWrapper", batch_id: int) -> None:
    """The next round begins with the same stock, and without the dead rows of this one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE credits_creditcode SET status = 'available', holder_id = NULL, claimed_at = NULL, entitlement = ''"
            " WHERE batch_id = %s AND status = 'claimed'",
            [batch_id],
        )
        cursor.execute("VACUUM ANALYZE credits_creditcode")


def check_all_served(batch_id: int, students: int) -> None:
    from credits.models import CreditCode

    served = CreditCode.objects.filter(batch=batch_id, status="claimed").values("holder").distinct().count()
    if served != students:
        raise SystemExit(f"{students} students claimed, {served} have a code.")


def doubles() -> int:
    """Codes claimed more than once, and students with more than one code of a batch."""
    from django.db.models import Count

    from credits.models import CodeEvent, CreditCode

    claimed = CodeEvent.objects.filter(verb="claimed").order_by().values("code")
    held = CreditCode.objects.filter(status="claimed", holder__isnull=False).order_by().values("batch", "holder")
    return sum(rows.annotate(n=Count("pk")).filter(n__gt=1).count() for rows in (claimed, held))


def tell(floors: list[float], claims: list[float], bare: list[float], burst: Answers) -> None:
    claims_per_s, floor = statistics.median(claims), statistics.median(floors)
    p99 = burst.times[int(len(burst.times) * 0.99)]
    rows = [
        ("claims through HTTP", claims_per_s, "per second"),
        ("signed-in view with one read (floor)", floor, "per second"),
        ("bare SKIP LOCKED update (pgbench)", statistics.median(bare), "per second"),
        ("claims of the floor", 100 * claims_per_s / floor, "%  (aim: 50 or more)"),
        (f"99th percentile, {BURST} students in {BURST_SECONDS:.0f} s", 1000 * p99, "ms"),
        ("codes given twice", float(doubles()), ""),
    ]
    print(f"granian, {WORKERS} workers × {THREADS} threads, {CLIENTS} clients, {os.cpu_count()} processors")
    for name, value, unit in rows:
        print(f"  {name:<44}{value:>10,.1f} {unit}")
    found = {
        "claims_per_s": round(claims_per_s, 1),
        "bare_sql_per_s": round(statistics.median(bare), 1),
        "view_floor_per_s": round(floor, 1),
        "p99_s_1000_in_10s": round(p99, 4),
        "double_claims": doubles(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
