"""A student's files on their way: machine and portal die at every word, call and row; nothing is lost or doubled."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from django.db import connection

from cloud.base import Transient
from instances import home_agent, homes
from instances.home_rules import (
    ORPHAN,
    Standing,
)
from tests.instances.conftest import events, fresh
from tests.instances.home_stage import Died, Homes, again, homes_stage, is_whole

__all__ = ["homes_stage"]


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes, "MOST_A_DAY", 10**6)


@pytest.mark.usefixtures("often")
def test_the_program_may_die_at_any_word_and_goes_on_where_it_was(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    whole = h.packer(row)
    h.asked(row)
    whole.run()
    h.rounds()
    for heard in (True, False):
        for word in range(1, whole.words + 1):
            home = h.asked(row)
            packer = h.packer(row)
            packer.dies_at, packer.heard = word, heard
            with pytest.raises(Died):
                packer.run()
            if again(home).packed_at is None:
                h.packed(row)
            h.rounds()
            assert again(home).standing(h.stage.now) is Standing.READY, (word, heard)
            assert is_whole(h, home), (word, heard)


def test_of_two_programs_at_once_the_newer_one_packs_and_the_older_one_ends(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    old, new = h.packer(row), h.packer(row)
    old.dies_at = 3  # it has sent its first part, and did not yet hear that this is known
    with pytest.raises(Died):
        old.run()
    new.say("where")
    with pytest.raises(home_agent.Over):
        old.say("part", size=3, sha256="x" * 44)
    new.run()
    h.rounds()
    assert is_whole(h, again(home))


@pytest.mark.parametrize("death", [Died(), Transient("connection closed")], ids=["died", "no answer"])
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("op", ["begin", "complete", "look", "abort", "delete"])
def test_the_portal_may_die_around_any_call(homes_stage: Homes, op: str, place: str, death: BaseException) -> None:
    """One download that comes to its end, one that is called off: nothing is lost, nothing doubled, nothing left."""
    h, row = homes_stage, homes_stage.stage.running()
    getattr(h.bucket.faults, f"break_{place}")(op, death)

    def try_to(act: object) -> None:
        with suppress(Died, Transient):
            act()  # type: ignore[operator]

    made = homes.request_home(fresh(row), who=row.owner.user, now=h.stage.now)
    for _round in range(3):
        try_to(h.rounds)
    h.packed(row)
    for _round in range(3):
        try_to(h.rounds)
    assert again(made).standing(h.stage.now) is Standing.READY
    assert is_whole(h, again(made))
    off = homes.request_home(fresh(row), who=row.owner.user, now=h.stage.now)
    for _round in range(2):
        try_to(h.rounds)
    homes.call_off(off, who=row.owner.user, now=h.stage.now)
    h.stage.later(ORPHAN.total_seconds())
    for _round in range(3):
        try_to(h.rounds)
    assert again(off).cleared_at
    assert list(h.bucket.objects) == [made.key]
    assert h.bucket.unfinished == {}
    assert len([one for one in events(row, "disk") if one.mail_to]) == 1


@pytest.mark.usefixtures("often")
def test_the_portal_may_die_before_any_row_that_it_writes(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    for nth in count():
        writes = count()

        def dying(execute: Any, sql: str, *more: Any, nth: int = nth, writes: Iterator[int] = writes) -> Any:
            if sql.startswith(("INSERT", "UPDATE", "DELETE")) and next(writes) == nth:
                raise Died
            return execute(sql, *more)

        home = homes.request_home(fresh(row), who=row.owner.user, now=h.stage.now)
        with suppress(Died), connection.execute_wrapper(dying):
            h.rounds()
        connection.needs_rollback = False  # the test's own transaction goes on: what was committed stands
        h.rounds()
        h.packed(row)
        with suppress(Died), connection.execute_wrapper(dying):
            h.rounds(2)
        connection.needs_rollback = False
        h.stage.later(ORPHAN.total_seconds())
        h.rounds(2)
        assert again(home).standing(h.stage.now) is Standing.READY, nth
        assert is_whole(h, home), nth
        assert [*h.bucket.objects] == [home.key], nth  # the older one is replaced
        assert h.bucket.unfinished == {}, nth
        if next(writes) <= nth:
            break
    assert nth > 5


def test_what_arrived_otherwise_is_never_called_ready(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    h.packed(row)
    upload = h.bucket.unfinished[home.upload_id]
    upload.parts[1] = b"other"
    h.rounds(2)
    assert again(home).standing(h.stage.now) is Standing.FAILED
    assert (h.bucket.objects, h.bucket.unfinished) == ({}, {})
    assert events(row, "disk")[-1].mail_to


def test_what_is_not_there_yet_is_waited_for_and_not_without_end(homes_stage: Homes) -> None:
    """The answer to our first call was lost, and S3 is still putting thousands of parts together."""
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    h.packed(row)
    at_work = h.bucket.unfinished.pop(home.upload_id)
    h.rounds(5)
    assert again(home).standing(h.stage.now) is Standing.CHECKING
    h.bucket.unfinished[home.upload_id] = at_work
    h.rounds()
    assert is_whole(h, again(home))
    lost = h.asked(row)
    h.packed(row)
    h.bucket.unfinished.clear()
    h.rounds(32)
    assert again(lost).standing(h.stage.now) is Standing.FAILED
    assert again(home).standing(h.stage.now) is Standing.READY  # what was there before stays


def test_an_object_of_another_size_is_never_called_ready(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    h.packed(row)
    content = b"shorter"
    h.bucket.faults.on_call("complete", lambda _key: h.bucket.objects.__setitem__(home.key, (content, "x")), after=True)
    h.rounds(2)
    assert again(home).standing(h.stage.now) is Standing.FAILED
    assert h.bucket.objects == {}
