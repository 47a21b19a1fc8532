"""Starting a stopped machine and metering its disk take the same locks: in two orders they would wait for ever."""

import time
from datetime import timedelta
from typing import Any

import pytest

from instances import books, requesting, services
from instances.models import Instance
from instances.states import State
from tests.instances.conftest import Stage, fresh
from tests.race import race


def slowly(function: Any) -> Any:
    """Leaves the other process the time to take its own first lock."""

    def call(*args: Any, **named: Any) -> Any:
        time.sleep(0.5)
        return function(*args, **named)

    return call


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_start_and_the_meter_never_wait_for_each_other(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    row = stage.stop(stage.running())
    assert stage.wait(10, until=lambda: fresh(row).state == State.STOPPED)
    later = stage.now + timedelta(hours=2)
    Instance.objects.filter(pk=row.pk).update(seen_at=later)  # so that there is something to post
    monkeypatch.setattr(requesting, "move", slowly(requesting.move))
    monkeypatch.setattr(books, "post", slowly(books.post))

    def start() -> str:
        return str(services.request_start(fresh(row), who=None, now=later).state)

    outcomes = race([start, lambda: books.meter_disk(row.pk, later)])
    assert [o.error for o in outcomes] == [None, None]
