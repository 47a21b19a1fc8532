"""A student takes their files along: packed on the machine, proved by the bucket, kept so many days, then gone."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from cloud.base import AccountBlocked, Transient
from instances import home_agent, homes, services
from instances.home_records import HomeArchive
from instances.home_rules import (
    LONGEST,
    MOST_A_DAY,
    MOST_LINKS,
    ORPHAN,
    Facts,
    Standing,
    Step,
    most_bytes,
    next_step,
    part_bytes,
)
from instances.models import DiskPolicy, Instance
from instances.refusals import LaunchRefused
from instances.reports import answer
from instances.states import State
from spend.services import BudgetRefused, budget_of, set_amount
from tests.instances.conftest import Stage, check_books, events, fresh
from tests.instances.home_stage import Died, Homes, again, carry, homes_stage

__all__ = ["homes_stage"]


def names(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as whole:
        found = {one.name: whole.extractfile(one) for one in whole.getmembers() if one.isreg()}
        return {name: file.read() for name, file in found.items() if file}


def is_whole(h: Homes, home: HomeArchive) -> bool:
    found = names(h.content(home))
    return found == {f"home/work/{n}.bin": (h.folder / f"work/{n}.bin").read_bytes() for n in range(4)}


# ------------------------------------------------------------------ as it should go
def test_from_the_click_to_the_last_day(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    assert home.standing(h.stage.now) is Standing.WAITING
    assert home_agent.is_wanted(row)
    h.packed(row)
    assert again(home).standing(h.stage.now) is Standing.CHECKING
    assert not home_agent.is_wanted(row)
    h.rounds()
    home = again(home)
    assert home.standing(h.stage.now) is Standing.READY
    assert is_whole(h, home)
    assert (home.size_bytes, home.files, home.mark) == (len(h.content(home)), 4, None)
    assert home.parts.count() > 2
    told = events(row, "disk")[-1]
    assert told.mail_to == row.owner.email
    assert "fake://" not in told.reason
    assert home.expires_at == h.stage.now + timedelta(days=30)
    h.stage.now = home.expires_at
    h.rounds()
    assert again(home).standing(h.stage.now) is Standing.OVER
    assert (h.bucket.objects, h.bucket.unfinished) == ({}, {})
    assert again(home).cleared_at


def test_the_course_says_for_how_many_days(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    DiskPolicy.objects.create(course=row.course, download_days=7)
    home = h.asked(row)
    h.packed(row)
    h.rounds()
    assert again(home).expires_at == h.stage.now + timedelta(days=7)


def test_a_newer_one_replaces_the_older(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    first = h.asked(row)
    h.packed(row)
    h.rounds()
    second = h.asked(row)
    h.packed(row)
    h.rounds(2)
    assert [again(one).standing(h.stage.now) for one in (first, second)] == [Standing.OVER, Standing.READY]
    assert list(h.bucket.objects) == [second.key]


def test_each_click_is_written_down_and_they_come_to_an_end(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    h.packed(row)
    h.rounds()
    for _click in range(MOST_LINKS):
        homes.note_download(home, who=row.owner.user, address="10.0.0.9", now=h.stage.now)
    with pytest.raises(homes.NoDownload, match="20 times"):
        homes.note_download(home, who=row.owner.user, address="10.0.0.9", now=h.stage.now)
    assert again(home).downloads.count() == MOST_LINKS


def test_nothing_is_fetched_before_it_is_proved_nor_after_its_day(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    h.packed(row)
    with pytest.raises(homes.NoDownload):
        homes.note_download(home, who=row.owner.user, address=None, now=h.stage.now)
    h.rounds()
    with pytest.raises(homes.NoDownload):
        homes.note_download(home, who=row.owner.user, address=None, now=h.stage.now + timedelta(days=31))


def test_while_it_packs_its_machine_is_in_use_and_no_longer(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    h.stage.wait(3)
    h.asked(row)
    h.packed(row)
    assert fresh(row).last_active_at == h.stage.now
    h.rounds()
    assert not h.stage.wait(20, until=lambda: fresh(row).state != State.RUNNING)
    assert h.stage.wait(45, until=lambda: fresh(row).state != State.RUNNING)


def started_to_pack(h: Homes) -> tuple[Instance, HomeArchive]:
    row = h.stage.stop(h.stage.running())
    h.stage.wait(1)
    home = homes.start_and_pack(fresh(row), who=row.owner.user, now=h.stage.now)
    HomeArchive.objects.update(part_bytes=h.part_bytes)
    services.start(row.pk, cloud=h.stage.cloud, now=h.stage.now)
    h.step(home)
    assert h.stage.wait(3, until=lambda: fresh(row).state == State.RUNNING)
    return row, home


def test_a_stopped_machine_is_started_for_it_and_stopped_when_it_is_done(homes_stage: Homes) -> None:
    h = homes_stage
    row, home = started_to_pack(h)
    assert answer(fresh(row), now=h.stage.now)["awaited"] == ""  # the agent has nothing to watch
    h.packed(row)
    h.rounds()
    assert again(home).ready_at
    assert h.stage.wait(2, until=lambda: fresh(row).state != State.RUNNING)
    assert "packing its files" in fresh(row).reason
    check_books()


def test_who_uses_it_meanwhile_keeps_it_and_what_is_given_up_stops_it_too(homes_stage: Homes) -> None:
    h = homes_stage
    row, home = started_to_pack(h)
    homes.call_off(home, who=row.owner.user, now=h.stage.now)
    h.stage.later(10)
    Instance.objects.filter(pk=row.pk).update(last_human_at=h.stage.now)
    assert not h.stage.wait(3, until=lambda: fresh(row).state != State.RUNNING)
    Instance.objects.filter(pk=row.pk).update(last_human_at=None)
    assert h.stage.wait(2, until=lambda: fresh(row).state != State.RUNNING)


def test_who_came_in_while_it_packed_is_not_stopped_when_it_is_packed(homes_stage: Homes) -> None:
    """A training may have been begun, and its student may have gone to bed."""
    h = homes_stage
    row, home = started_to_pack(h)
    Instance.objects.filter(pk=row.pk).update(last_human_at=h.stage.now)
    h.packed(row)
    h.rounds()
    assert again(home).ready_at
    assert not h.stage.wait(20, until=lambda: fresh(row).state != State.RUNNING)
    assert fresh(row).awaited == {}
    assert h.stage.wait(45, until=lambda: fresh(row).state != State.RUNNING)  # by the everyday rule, warned
    assert fresh(row).warned_at


def test_called_off_while_the_bucket_puts_it_together_nothing_of_it_stays(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    h.packed(row)
    homes.call_off(home, who=row.owner.user, now=h.stage.now)
    h.rounds()
    assert again(home).cleared_at is None
    h.bucket.objects[home.key] = (b"late", "")  # S3 was still at it
    h.rounds(2)
    assert h.bucket.objects == {}
    h.rounds(31)
    assert again(home).cleared_at


def test_a_blocked_account_is_no_verdict_on_what_was_sent(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    h.packed(row)
    h.bucket.faults.break_before("complete", AccountBlocked("no credentials for a moment", code="NoCredentials"))
    h.rounds(2)
    assert again(home).ready_at


def test_packing_again_and_again_comes_to_an_end(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    for _time in range(MOST_A_DAY):
        homes.call_off(h.asked(row), who=row.owner.user, now=h.stage.now)
    with pytest.raises(LaunchRefused, match="Try again tomorrow"):
        h.asked(row)


def test_what_cannot_be_started_is_not_asked_for(homes_stage: Homes) -> None:
    h = homes_stage
    row = h.stage.stop(h.stage.running())
    h.stage.wait(1)
    budget = budget_of(row.owner)
    set_amount(budget, budget.spent_usd + budget.held_usd, why="poor", who=None, now=h.stage.now)
    with pytest.raises(BudgetRefused):
        homes.start_and_pack(fresh(row), who=row.owner.user, now=h.stage.now)
    assert not HomeArchive.objects.exists()
    assert (fresh(row).state, fresh(row).awaited) == (State.STOPPED, {})


# ------------------------------------------------------------------ refused
def test_who_may_not_is_told_why(homes_stage: Homes, settings: Settings) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    h.asked(row)
    with pytest.raises(LaunchRefused, match="already"):
        h.asked(row)
    Instance.objects.filter(pk=row.pk).update(last_report={"agent_version": "3"})
    with pytest.raises(LaunchRefused, match="before downloads"):
        h.asked(row)
    h.stage.stop(row)
    with pytest.raises(LaunchRefused, match="Start it"):
        h.asked(row)
    settings.ARCHIVE_BUCKET = ""
    with pytest.raises(LaunchRefused, match="not set up"):
        h.asked(row)
    assert not home_agent.is_wanted(row)


def test_called_off_nothing_stays_and_the_machine_is_told_to_end(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    packer = h.packer(row)
    packer.dies_at = 5
    with pytest.raises(Died):
        packer.run()
    assert homes.call_off(home, who=row.owner.user, now=h.stage.now)
    assert not homes.call_off(home, who=row.owner.user, now=h.stage.now)
    with pytest.raises(home_agent.Over):
        h.packed(row)
    h.rounds()
    assert (h.bucket.objects, h.bucket.unfinished) == ({}, {})


def test_a_machine_that_is_deleted_or_takes_too_long_leaves_nothing(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    late = h.asked(row)
    h.stage.later(LONGEST.total_seconds())
    with pytest.raises(home_agent.Over):
        h.packed(row)
    h.rounds(2)
    assert "six hours" in again(late).reason
    gone = h.asked(row)
    assert services.request_terminate(fresh(row), who=row.owner.user, now=h.stage.now)
    services.terminate([row.pk], cloud=h.stage.cloud, now=h.stage.now)
    h.stage.later(60)
    h.stage.repair()
    h.rounds(2)
    assert "deleted" in again(gone).reason
    assert (h.bucket.objects, h.bucket.unfinished) == ({}, {})


def test_more_than_the_disk_holds_is_refused_and_given_up(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    HomeArchive.objects.filter(pk=home.pk).update(sent_bytes=most_bytes(row.disk_gb))
    with pytest.raises(home_agent.Over):
        h.packed(row)
    assert "more was sent" in again(home).reason


# ------------------------------------------------------------------ deaths
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


# ------------------------------------------------------------------ the rules, and what is packed
def test_the_rule_at_a_glance(stage: Stage) -> None:
    now = stage.now
    asked = Facts(asked_at=now, machine=State.RUNNING)
    assert next_step(asked, now) is Step.BEGIN
    assert next_step(Facts(asked_at=now, machine=State.STOPPED, began_at=now), now) is Step.NONE
    assert next_step(Facts(asked_at=now, machine=State.TERMINATED, began_at=now), now) is Step.GONE
    assert next_step(Facts(asked_at=now, machine=State.TERMINATED, packed_at=now), now) is Step.COMPLETE
    assert next_step(asked, now + LONGEST) is Step.LATE


@pytest.mark.parametrize("disk_gb", [8, 64, 100, 500, 2000])
def test_a_full_disk_of_noise_fits_into_what_s3_takes(disk_gb: int) -> None:
    assert part_bytes(disk_gb) * 10_000 >= disk_gb * 2**30 * 1.1
    assert 5 * 2**20 <= part_bytes(disk_gb) <= 5 * 2**30


def test_what_is_packed_and_what_is_named_as_left_out(homes_stage: Homes) -> None:
    folder = homes_stage.folder
    (folder / ".cache/pip").mkdir(parents=True)
    (folder / ".cache/pip/x").write_text("again")
    (folder / "work/__pycache__").mkdir()
    (folder / "work/__pycache__/x.pyc").write_text("again")
    (folder / "work/.cache").write_text("a file of theirs")
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("/etc/passwd")
    carry.os.mkfifo(folder / "pipe")
    (folder / ("long" * 50)).write_text("long")
    pack = carry.Pack(carry.Home(str(folder), ["/.cache", "__pycache__"]), None)
    content = b"".join(data for data, _mark in carry.parts(pack, 10_000))
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as whole:
        kinds = {one.name: one for one in whole.getmembers()}
    assert {"home/empty", "home/link", "home/work/.cache", "home/" + "long" * 50, "LEFT-OUT.txt"} <= kinds.keys()
    assert kinds["home/link"].issym()
    assert kinds["home/link"].linkname == "/etc/passwd"
    assert not [name for name in kinds if "pip" in name or "pycache" in name]
    assert b"pipe: is no file" in names(content)["LEFT-OUT.txt"]


def test_a_file_that_becomes_shorter_meanwhile_is_filled_up_and_named(homes_stage: Homes) -> None:
    folder = homes_stage.folder
    (folder / "aaa.bin").write_bytes(carry.hashlib.shake_256(b"x").digest(3 * carry.BLOCK))
    pack = carry.Pack(carry.Home(str(folder), []), None)
    found = []
    for data, _mark in carry.parts(pack, 100_000):
        found.append(data)
        (folder / "aaa.bin").write_bytes(b"short")
    files = names(b"".join(found))
    assert len(files["home/aaa.bin"]) == 3 * carry.BLOCK
    assert files.keys() > {f"home/work/{n}.bin" for n in range(4)}
    assert b"aaa.bin: changed" in files["LEFT-OUT.txt"]
