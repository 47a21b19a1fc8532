"""What every sweep needs: one bad row stops nothing, and a round that ended well leaves its beat."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import DatabaseError, transaction
from django.db.models import Model, QuerySet

from instances.models import SweepBeat

T = TypeVar("T")
M = TypeVar("M", bound=Model)
logger = logging.getLogger(__name__)

TOGETHER = 50  # a person's click on one of them waits for the whole group


def sweep_over(name: str, rows: Iterable[T], act: Callable[[T], object], *, now: datetime) -> int:
    """`act` on each row; returns how many rows were looked at. A round in which a row failed still is a round."""
    began = time.monotonic()
    looked_at = for_each(name, rows, act)
    beat(name, looked_at, seconds=time.monotonic() - began, now=now)
    return looked_at


def for_each(name: str, rows: Iterable[T], act: Callable[[T], object]) -> int:
    looked_at = 0
    for row in rows:
        looked_at += 1
        try:
            act(row)
        except Exception:
            logger.exception("%s: %s failed; the others go on", name, row)
    return looked_at


def for_each_together(name: str, rows: Sequence[T], act: Callable[[T], object]) -> None:
    """As `for_each`, but committed in groups: with many rows, a commit for each is what takes the time.

    Only for acts that call no cloud, and for machines in the order of their keys: others lock several as well.
    """
    for first in range(0, len(rows), TOGETHER):
        try:
            with transaction.atomic():
                for_each(name, rows[first : first + TOGETHER], transaction.atomic(act))
        except DatabaseError:
            logger.exception("%s: a group failed; the others go on", name)


def if_any(rows: QuerySet[M]) -> Iterable[M]:
    """For what most rounds find nothing of: one look in an index costs a tenth of a question for whole rows."""
    return rows if rows.exists() else ()


def beat(name: str, looked_at: int, *, seconds: float, now: datetime) -> None:
    """`seconds`: how long the round took, so that its end is known without another look at the clock."""
    values = {"finished_at": now + timedelta(seconds=seconds), "seconds": seconds, "looked_at": looked_at}
    if not SweepBeat.objects.filter(name=name).update(**values):  # one statement, in all rounds but the first
        SweepBeat.objects.update_or_create(name=name, defaults=values)
