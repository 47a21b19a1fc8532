"""`make attack SECONDS=300`: fifty processes at one sponsor's tree of budgets, and some of them die at every moment.

They launch, start, keep, renew, resize, stop, delete, sweep, and as staff move the amounts of all four levels
(`attack_people.py`). The database itself looks on, at every commit that touches a hold, a charge or a budget
(`attack_watch.py`). Each second is six of the course, with leases of a quarter of an hour, so that these run out and
are renewed.

With ATTACK_CONTROL=1 the guards are taken out (the lock, and the constraint behind it): then it must find something.

Needs PostgreSQL at DATABASE_URL (default: this machine, user root); makes a database of its own and drops it.
Environment: SECONDS (300), ATTACK_PROCESSES (50), ATTACK_SEED (157).
"""

import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from benchmarks.attack_people import BEGAN, NAMES, Attacker, run
from benchmarks.attack_watch import looked, unguarded, watched

SECONDS = float(os.environ.get("SECONDS") or "300")
PROCESSES = int(os.environ.get("ATTACK_PROCESSES", "50"))
SEED = int(os.environ.get("ATTACK_SEED", "157"))
LIVES = 3.0  # seconds until a process may be killed: less, and nobody gets to anything
PEOPLE, TEAM_SIZE = 12, 4
_fork = multiprocessing.get_context("fork")


@dataclass
class Report:
    commits: int = 0  # that the database looked at
    over: list[tuple[Any, ...]] = field(default_factory=list)
    acts: Counter[str] = field(default_factory=Counter)
    killed: int = 0
    books: list[str] = field(default_factory=list)

    @property
    def levels_refused(self) -> set[str]:
        return {name.removeprefix("refused by ") for name in self.acts if name.startswith("refused by ")}


def main() -> None:
    from benchmarks.claim import database

    with database() as url, tempfile.TemporaryDirectory(prefix="lamplighter-attack-") as var:
        os.environ |= {
            "DATABASE_URL": url,
            "LAMPLIGHTER_VAR": var,
            "LAMPLIGHTER_DEMO": "1",  # only for its secrets: nothing is served
            "LAMPLIGHTER_LOG_LEVEL": "CRITICAL",
            "LAMPLIGHTER_EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend",
            "DJANGO_SETTINGS_MODULE": "portal.settings",
        }
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        control = os.environ.get("ATTACK_CONTROL") == "1"
        with unguarded() if control else watched():
            found = attack(make_course(), SECONDS, PROCESSES, SEED)
    tell(found)
    sys.exit(bool(found.over or found.books) is not control)


# ------------------------------------------------------------------ the course
def make_course() -> list[int]:
    """The roster lines."""
    from cloud.prices import price_of
    from courses.models import Course, Enrollment, Team, User
    from instances.models import Preset
    from spend.models import Level
    from spend.opening import create_budget, open_budgets

    course = Course.objects.create(slug="attack", name="Attack", starts_on=date(2019, 1, 22), ends_on=date(2019, 3, 30))
    teams = [Team.objects.create(course=course, name=f"Team {n}") for n in range(PEOPLE // TEAM_SIZE)]
    lines = []
    for number in range(PEOPLE):
        user = User.objects.create(email=f"s{number}@attack.edu", full_name=f"Student {number}", password="!")
        line = Enrollment(course=course, user=user, email=user.email, name=user.full_name)
        line.team = teams[number // TEAM_SIZE]
        line.save()
        lines.append(line.pk)
    sponsor = create_budget(
        Level.SPONSOR, name="Grant", amount_usd=Decimal(30), parent=None, why="attack", who=None, now=BEGAN
    )
    open_budgets(
        course, course_usd=Decimal(30), team_usd=Decimal(12), person_usd=Decimal(6), sponsor=sponsor, why="attack",
        who=None, now=BEGAN,
    )  # fmt: skip
    for slug, kind in (("homework", "g4dn.xlarge"), ("project", "g5.xlarge")):
        Preset.objects.create(
            course=course, slug=slug, name=slug, instance_types=[kind], image_id="ami-course", disk_gb=8,
            lease_seconds=900, ceiling_usd_hour=price_of(kind), per_person=3,
        )  # fmt: skip
    return lines


# ------------------------------------------------------------------ the attack
def attack(
    lines: Sequence[int],
    seconds: float,
    processes: int,
    seed: int,
    *,
    least: int = 0,
    kills: bool = True,
    only: str = "",
) -> Report:
    """Every few moments one process is killed (SIGKILL), wherever it is, and another takes its place.

    On a machine that is busy with other things it goes on until `least` acts were done, up to four times as long.
    `only`: the one act that is tried.
    """
    from spend.checks import check_books
    from tests.instances.dying import living_cloud

    _import_everything()
    gang = Gang(list(lines), processes, seed, only=only)
    with living_cloud(BEGAN) as cloud:
        gang.begin(cloud)
        while gang.seconds < seconds or (sum(gang.counts) < least and gang.seconds < 4 * seconds):
            time.sleep(gang.rng.uniform(0.2, 1.2))
            if kills:
                gang.lose_one()
        gang.end()
    report = Report(acts=gang.acts, killed=gang.killed, books=[str(one) for one in check_books()])
    report.commits, report.over = looked()
    return report


def _import_everything() -> None:
    """Before the processes are forked, or each would spend its short life importing."""
    from django.urls import reverse

    from instances import keeping, resizing, services, sweeps

    assert reverse("agent_report")  # what a machine is told names it: with it come all pages
    assert keeping
    assert resizing
    assert services
    assert sweeps


class Gang:
    """The processes: so many at any moment, each with a number of its own."""

    def __init__(self, lines: list[int], size: int, seed: int, *, only: str) -> None:
        self.lines, self.size, self.only = lines, size, only
        self.rng, self.next_number = random.Random(seed), seed * 1_000_000
        self.counts = _fork.Array("L", len(NAMES), lock=False)
        self.over = _fork.Value("b", 0, lock=False)
        self.began = time.monotonic()
        self.killed = 0
        self.children: list[tuple[Any, float]] = []  # and when each began

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def acts(self) -> Counter[str]:
        return Counter({name: count for name, count in zip(NAMES, self.counts, strict=True) if count})

    def begin(self, cloud: Any) -> None:
        from django.db import connections

        self.cloud = cloud
        connections.close_all()  # a connection must never be shared with a child
        self.children = [self._hire() for _n in range(self.size)]

    def _hire(self) -> tuple[Any, float]:
        told = Attacker(self.next_number, self.lines, self.cloud, self.counts, self.began, self.over, self.only)
        self.next_number += 1
        child = _fork.Process(target=run, args=(told,), daemon=True)
        child.start()
        return child, time.monotonic()

    def lose_one(self) -> None:
        """One that has lived long enough dies (SIGKILL), wherever it is, and another takes its place."""
        old = [n for n, (_child, at) in enumerate(self.children) if time.monotonic() - at > LIVES]
        if not old:
            return
        n = self.rng.choice(old)
        child, _at = self.children[n]
        child.kill()
        child.join()
        self.killed += 1
        self.children[n] = self._hire()

    def end(self) -> None:
        self.over.value = 1
        for child, _at in self.children:
            child.join(20)
            child.kill()
            child.join()


def tell(found: Report) -> None:
    print(f"{PROCESSES} processes for {SECONDS:.0f} s, {found.killed} of them killed in the middle of something")
    for name in NAMES:
        print(f"  {name:<28}{found.acts[name]:>9,}")
    print(f"commits that the database looked at: {found.commits:,}, budgets found over: {len(found.over)}")
    for level, name, amount, used, at in found.over[:10]:
        print(f"  {at:%H:%M:%S.%f} {level} {name}: {used} of {amount} USD")
    print(f"books: {'; '.join(found.books) or 'add up'}")
    print(json.dumps({"commits": found.commits, "over": len(found.over), "killed": found.killed, **found.acts}))


if __name__ == "__main__":
    main()
