"""A closing is called off while its round comes to the batches: once that has come back, no batch closes, no place."""

from datetime import datetime
from functools import partial
from time import sleep
from typing import Any

import pytest

from credits import opening
from credits.models import CodeBatch, CodeWait, Letter
from instances import closing
from instances.closing_records import Closing
from instances.sweeps import closing as closing_round
from tests.credits.conftest import make_batch
from tests.instances.closing_stage import at_the_end, short_notice  # noqa: F401 - the fixture
from tests.instances.conftest import Stage
from tests.race import race

Seen = tuple[datetime | None, datetime | None]  # when the batch closed, and when the place in its queue did


def waited_for(stage: Stage) -> Closing:
    """A course at its end, with a batch that is open and somebody who waits for a code of it."""
    at_the_end(stage)
    batch = make_batch(stage.cast.course, codes=0)
    CodeWait.objects.create(batch=batch, seq=1, enrollment=stage.cast.student, at=stage.now)
    return Closing.objects.get()


def what_is_closed() -> Seen:
    return CodeBatch.objects.get().closes_at, CodeWait.objects.get().closed_at


def call_off(stage: Stage) -> None:
    who = stage.cast.instructor.user
    assert who
    assert closing.call_off(Closing.objects.get(), who=who, now=stage.now)


def test_a_round_that_began_before_the_call_off_closes_no_batch_and_no_place_after_it(stage: Stage) -> None:
    read_before = waited_for(stage)
    call_off(stage)
    letters = Letter.objects.count()
    closing_round._codes(read_before, stage.cloud, stage.now)
    assert what_is_closed() == (None, None)
    assert Letter.objects.count() == letters


def test_a_batch_that_was_closed_before_still_loses_its_places(stage: Stage) -> None:
    row, batch = waited_for(stage), CodeBatch.objects.get()
    opening.close_now(batch, who=row.who, why="enough", now=stage.now)
    closing_round._codes(row, stage.cloud, stage.now)
    assert what_is_closed() == (stage.now, stage.now)


def test_one_batch_that_cannot_be_closed_keeps_no_other_open(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    row, bad = waited_for(stage), CodeBatch.objects.get()
    good, real = make_batch(stage.cast.course), opening.close_now

    def broken(batch: CodeBatch, **more: Any) -> bool:
        if batch.pk == bad.pk:
            raise RuntimeError("broken")
        return real(batch, **more)

    monkeypatch.setattr(opening, "close_now", broken)
    closing_round._codes(row, stage.cloud, stage.now)
    good.refresh_from_db()
    assert good.closes_at == stage.now


# ------------------------------------------------------------------ two at once
def close_slowly(stage: Stage) -> None:
    real = opening.close_now

    def slow(*args: Any, **more: Any) -> bool:
        sleep(1)
        return real(*args, **more)

    opening.close_now = slow  # in this process alone
    closing_round._codes(Closing.objects.get(), stage.cloud, stage.now)


def call_off_meanwhile(stage: Stage) -> Seen:
    """What its caller sees once it has come back."""
    sleep(0.3)
    call_off(stage)
    return what_is_closed()


def seen_and_in_the_end(stage: Stage) -> tuple[Seen, Seen]:
    waited_for(stage)
    outcomes = race([partial(close_slowly, stage), partial(call_off_meanwhile, stage)])
    assert all(one.ok for one in outcomes)
    return outcomes[1].value, what_is_closed()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_once_it_is_called_off_no_batch_closes(stage: Stage) -> None:
    seen, end = seen_and_in_the_end(stage)
    assert seen == end


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_a_batch_closes_after_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing_round, "locked", lambda pk: Closing.objects.select_related("course").get(pk=pk))
    assert seen_and_in_the_end(stage) == ((None, None), (stage.now, stage.now))
