"""Evidence does not stay for ever: after some days the traces of ended runs and the last reports of machines go.

What they cost, who stopped them and why stays. In batches, so that no lock is held for long; twice does no harm.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Model, QuerySet

from instances.models import Instance, Run
from instances.states import ENDED, State

BATCH = 500
MOST_BATCHES = 40  # in one round; the next goes on


def purge_traces(now: datetime, days: int) -> int:
    """Of runs that ended, and machines that rest, for longer than so many days. How many rows were emptied."""
    before = now - timedelta(days=days)
    runs = Run.objects.filter(ended_at__lt=before).exclude(trace=[])
    resting = Instance.objects.filter(state__in=(State.STOPPED, *ENDED), state_since__lt=before)
    machines = resting.exclude(trace=[], last_report={})
    return _empty(runs, trace=[]) + _empty(machines, trace=[], last_report={})


def _empty(rows: QuerySet[Model], **values: object) -> int:
    done = 0
    for _n in range(MOST_BATCHES):
        with transaction.atomic():
            locked = rows.select_for_update(no_key=True, of=("self",), skip_locked=True).order_by("pk")
            batch = list(locked.values_list("pk", flat=True)[:BATCH])
            done += rows.model._default_manager.filter(pk__in=batch).update(**values)
        if len(batch) < BATCH:
            break
    return done
