"""One attacker of the cap: what it does, one thing after the other, until it is killed."""

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

BEGAN = datetime(2019, 3, 5, 12, tzinfo=UTC)
# Seconds of the course in each second. A call to AWS is taken to be over after 90 s (`CALL_SECONDS`): with fifty
# processes on two processors one may well wait for seconds between two lines.
PACE = 6
# Each level is scarce at some time: staff move amounts between these, in USD.
AMOUNTS = {"1-sponsor": (14, 40), "2-course": (14, 40), "3-team": (5, 20), "4-person": (2, 12)}
NAMES = (
    "launched", "started", "kept", "renewed", "resized", "stopped", "deleted", "swept", "amount changed",
    "refused by 1-sponsor", "refused by 2-course", "refused by 3-team", "refused by 4-person", "refused otherwise",
    "stopped by the database", "no connection",
)  # fmt: skip


@dataclass
class Attacker:
    number: int
    lines: list[int]
    cloud: Any
    counts: Any
    began: float  # of time.monotonic(), which is one clock for all processes
    over: Any  # a flag that all see
    only: str = ""

    def __post_init__(self) -> None:
        self.rng = random.Random(self.number)

    @property
    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=(time.monotonic() - self.began) * PACE)

    def count(self, name: str) -> None:
        self.counts[NAMES.index(name)] += 1

    def act(self) -> None:
        from django.db import IntegrityError, OperationalError, connection

        from instances.refusals import KeepRefused, LaunchRefused
        from spend.services import BudgetRefused

        acts = [one for one in ACTS if self.only in ("", one[0])]
        name, verb, _weight = self.rng.choices(acts, [weight for _name, _verb, weight in acts])[0]
        try:
            if verb(self):
                self.count(name)
        except BudgetRefused as error:
            self.count(f"refused by {error.verdict.level}" if error.verdict else "refused otherwise")
        except KeepRefused as error:
            inner = error.__cause__
            level = inner.verdict.level if isinstance(inner, BudgetRefused) and inner.verdict else None
            self.count(f"refused by {level}" if level else "refused otherwise")
        except LaunchRefused:
            self.count("refused otherwise")
        except IntegrityError:  # only without the lock: the constraint behind it
            self.count("stopped by the database")
        except OperationalError:  # so many at once that the database lets no more in: another try
            self.count("no connection")
            connection.close()
            time.sleep(self.rng.random())

    def machine(self, *states: str) -> Any:
        from instances.models import Instance

        found = list(Instance.objects.filter(state__in=states).select_related("owner__user", "course")[:40])
        return self.rng.choice(found) if found else None


def run(attacker: Attacker) -> None:
    while not attacker.over.value:
        attacker.act()
    os._exit(0)


def _launch(me: Attacker) -> bool:
    from courses.models import Enrollment
    from instances import services
    from instances.models import Preset

    line = Enrollment.objects.get(pk=me.rng.choice(me.lines))
    row = services.request_launch(line, me.rng.choice(list(Preset.objects.all())), who=None, now=me.now)
    services.launch(row.pk, cloud=me.cloud, now=me.now)
    return True


def _start(me: Attacker) -> bool:
    from instances import services

    row = me.machine("stopped")
    if row:
        services.request_start(row, who=None, now=me.now)
        services.start(row.pk, cloud=me.cloud, now=me.now)
    return row is not None


def _keep(me: Attacker) -> bool:
    from instances import services

    row = me.machine("running")
    return bool(row and services.keep_alive(row, hours=me.rng.choice((0.5, 1, 2, 4)), who=None, now=me.now))


def _renew(me: Attacker) -> bool:
    from instances.keeping import renew

    row = me.machine("running")
    return bool(row and renew(row, now=me.now))


def _resize(me: Attacker) -> bool:
    from instances.models import Preset
    from instances.resizing import request_resize

    row = me.machine("stopped")
    return bool(row and request_resize(row, me.rng.choice(list(Preset.objects.all())), who=None, now=me.now))


def _stop(me: Attacker) -> bool:
    from instances import services

    row = me.machine("running", "launching")
    if row and services.request_stop(row, reason="enough", who=None, now=me.now):
        services.stop([row.pk], cloud=me.cloud, now=me.now)
        return True
    return False


def _delete(me: Attacker) -> bool:
    from instances import services

    row = me.machine("stopped", "running")
    if row and services.request_terminate(row, who=None, now=me.now):
        services.terminate([row.pk], cloud=me.cloud, now=me.now)
        return True
    return False


def _sweep(me: Attacker) -> bool:
    from instances import sweeps

    me.cloud.later_to(me.now)
    sweeps.repair(me.cloud, me.now, probe=lambda places: [True] * len(places))
    sweeps.lease(me.cloud, me.now)
    sweeps.meter(me.now)
    return True


def _amount(me: Attacker) -> bool:
    from spend.models import Budget
    from spend.services import set_amount

    budget = me.rng.choice(list(Budget.objects.all()))
    low, high = AMOUNTS[budget.level]
    set_amount(budget, Decimal(me.rng.randint(low, high)), why="attack", who=None, now=me.now)
    return True


ACTS: list[tuple[str, Callable[[Attacker], bool], int]] = [
    ("launched", _launch, 5),
    ("started", _start, 4),
    ("kept", _keep, 8),
    ("renewed", _renew, 6),
    ("resized", _resize, 4),
    ("stopped", _stop, 2),
    ("deleted", _delete, 2),
    ("swept", _sweep, 6),  # what was launched runs, and what was stopped is paid, only then
    ("amount changed", _amount, 2),
]
