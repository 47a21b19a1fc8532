"""200 claimants, 150 codes, eight processes, and staff at work meanwhile: 150 claims, and a queue in order of arrival.

The same race runs with each guard removed: there it must go wrong, or the race proves nothing.
"""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pytest
from django.db import DatabaseError

from courses.models import Enrollment
from credits import holding, queue, quick
from credits.awards import award
from credits.claiming import ClaimRefused, InQueue, claim
from credits.models import CodeBatch, CodeEvent, CodeWait, CreditCode
from credits.returns import return_code, revoke
from credits.stock import add_codes
from tests.conftest import Cast
from tests.credits.conftest import NOW, code_text, enroll_students, make_batch
from tests.race import race

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

PROCESSES = 8


@dataclass(frozen=True)
class Click:
    """What one claimant's click came to, and when it began and ended by the machine's one clock."""

    line: int
    code: int | None
    place: int | None
    began: float
    ended: float


def _click(line: Enrollment, batch: CodeBatch) -> Click:
    began, code, place = time.monotonic(), None, None
    try:
        code = claim(line, batch, who=line.user, address=None, now=NOW).pk
    except InQueue as waiting:
        place = waiting.place
    return Click(line.pk, code, place, began, time.monotonic())


def _click_all(lines: list[int], batch_id: int) -> list[Click]:
    batch = CodeBatch.objects.select_related("course").get(pk=batch_id)
    return [_click(line, batch) for line in Enrollment.objects.select_related("user", "team").filter(pk__in=lines)]


def _run(lines: list[int], batch: CodeBatch, *staff: Callable[[], object]) -> list[Click]:
    claimants = [partial(_click_all, lines[n::PROCESSES], batch.pk) for n in range(PROCESSES)]
    done = race([*claimants, *staff], seconds=120)
    assert all(one.ok for one in done), [one.error for one in done]
    return [click for one in done[:PROCESSES] for click in one.value]


def _check_each_code_once(batch: CodeBatch) -> None:
    held = CreditCode.objects.filter(batch=batch, status="claimed", entitlement="")
    holders = list(held.values_list("holder", flat=True))
    assert len(holders) == len(set(holders))
    events = CodeEvent.objects.filter(code__batch=batch)
    claims = Counter(events.filter(verb="claimed").values_list("code", flat=True))
    returns = Counter(events.filter(verb="returned").values_list("code", flat=True))
    assert all(claims[code] <= 1 + returns[code] for code in claims)


def _check_order_of_arrival(clicks: list[Click], batch: CodeBatch) -> None:
    """Whoever had an answer before another one even clicked, is before them in the queue."""
    seq = dict(CodeWait.objects.filter(batch=batch).values_list("enrollment", "seq"))
    assert sorted(seq.values()) == list(range(1, len(seq) + 1))
    waited = [click for click in clicks if click.line in seq]
    for one in waited:
        for other in waited:
            if one.ended < other.began:
                assert seq[one.line] < seq[other.line]


def _check_150_of_200(clicks: list[Click], batch: CodeBatch) -> None:
    got = [click for click in clicks if click.code]
    assert len(clicks) == 200
    assert len(got) == len({click.code for click in got}) == 150
    _check_each_code_once(batch)
    _check_order_of_arrival(clicks, batch)
    assert CodeWait.objects.filter(batch=batch, closed_at=None).count() == 50
    assert {click.line for click in clicks if click.place} == set(batch.waits.values_list("enrollment", flat=True))


@pytest.mark.parametrize("way", ["at once", "step by step"])
def test_200_claimants_150_codes_8_processes(cast: Cast, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "step by step":  # the way of teams, and of a click that finds anything unusual
        monkeypatch.setattr(quick, "claim_at_once", lambda *_args, **_more: None)
    lines, batch = enroll_students(cast.course, 200), make_batch(cast.course, codes=150)
    _check_150_of_200(_run(lines, batch), batch)
    # Then stock comes, in three lots: the first in the queue first, whoever brings it.
    for lot in range(3):
        add_codes(batch, ((n, code_text(1000 + lot * 20 + n)) for n in range(20)), who=None, now=NOW)
        served = batch.waits.filter(code__isnull=False)
        assert set(served.values_list("seq", flat=True)) == set(range(1, min(20 * (lot + 1), 50) + 1))
    assert batch.codes.filter(status="available").count() == 10
    _check_each_code_once(batch)


def test_control_without_the_lock_on_codes_the_race_goes_wrong(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    unlocked = quick.SQL.replace("FOR UPDATE SKIP LOCKED", "")
    monkeypatch.setattr(quick, "SQL", unlocked.replace("SELECT * FROM taken", "SELECT *, pg_sleep(0.01) FROM taken"))
    lines, batch = enroll_students(cast.course, 200), make_batch(cast.course, codes=150)
    clicks = _run(lines, batch)
    with pytest.raises(AssertionError):
        _check_150_of_200(clicks, batch)


def test_control_without_the_lock_on_the_batch_places_are_lost_or_doubled(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlocked(pk: int) -> CodeBatch:
        return CodeBatch.objects.select_related("course").get(pk=pk)

    def slowly(*args: object) -> CodeWait:
        found = place_for(*args)
        time.sleep(0.05)
        return found

    place_for = queue.place_for
    monkeypatch.setattr(holding, "locked_batch", unlocked)
    monkeypatch.setattr(queue, "place_for", slowly)
    lines, batch = enroll_students(cast.course, 40), make_batch(cast.course, codes=0)
    claimants = [partial(_click_all, lines[n::PROCESSES], batch.pk) for n in range(PROCESSES)]
    assert any(isinstance(one.error, DatabaseError) for one in race(claimants))


# ------------------------------------------------------------------ while staff are at work
def _import_in_lots(batch_id: int) -> int:
    batch = CodeBatch.objects.get(pk=batch_id)
    for lot in range(6):
        add_codes(batch, ((n, code_text(2000 + lot * 5 + n)) for n in range(5)), who=None, now=NOW)
    return 30


def _take_back(batch_id: int, staff: int) -> tuple[int, int]:
    """Revokes ten that are free or claimed, gives ten claimed ones back to stock."""
    who = Enrollment.objects.select_related("user").get(pk=staff).user
    revoked = returned = 0
    for code in CreditCode.objects.filter(batch=batch_id).order_by("pk")[:10]:
        revoked += revoke(code, why="typed wrong", who=who, now=NOW)
    for _attempt in range(400):
        code = CreditCode.objects.filter(batch=batch_id, status="claimed", entitlement="").order_by("-pk").first()
        if code:
            with suppress(Exception):
                returned += return_code(code, why="not needed", who=who, now=NOW) == "available"
        if returned == 10:
            break
        time.sleep(0.005)
    return revoked, returned


def _award_some(batch_id: int, lines: list[int]) -> int:
    batch = CodeBatch.objects.select_related("course").get(pk=batch_id)
    for line in Enrollment.objects.filter(pk__in=lines):
        for _twice in range(2):
            with suppress(ClaimRefused):
                award(batch, line, key="contest/1", why="first three", who=None, now=NOW)
    return CreditCode.objects.filter(batch=batch_id, entitlement="contest/1").count()


def _check_books(batch: CodeBatch, came_in: int) -> None:
    counts = Counter(batch.codes.values_list("status", flat=True))
    assert sum(counts.values()) == came_in
    done = Counter(CodeEvent.objects.filter(code__batch=batch).values_list("verb", flat=True))
    assert counts["claimed"] == done["claimed"] + done["awarded"] - done["returned"] - _revoked_in_hand(batch)
    assert counts["revoked"] == done["revoked"] == 10


def _revoked_in_hand(batch: CodeBatch) -> int:
    return batch.codes.filter(status="revoked", holder__isnull=False).count()


def test_the_same_while_staff_import_revoke_give_back_and_award(cast: Cast) -> None:
    lines, batch = enroll_students(cast.course, 200), make_batch(cast.course, codes=150)
    staff = [
        partial(_import_in_lots, batch.pk),
        partial(_take_back, batch.pk, cast.instructor.pk),
        partial(_award_some, batch.pk, lines[:6]),
    ]
    clicks = _run(lines, batch, *staff)
    queue.serve_queue(batch, NOW)
    _check_each_code_once(batch)
    _check_order_of_arrival(clicks, batch)
    _check_books(batch, 150 + 30)
    assert CreditCode.objects.filter(batch=batch, entitlement="contest/1").count() <= 6
    # Nobody waits while a code is free, and nobody has been passed by.
    waiting = batch.waits.filter(closed_at=None)
    assert not (waiting.exists() and batch.codes.filter(status="available").exists())
    served = batch.waits.filter(code__isnull=False).values_list("seq", flat=True)
    assert set(served) == set(range(1, len(served) + 1))
    # Everyone has what they were told: a code, a place, or a code that came back.
    with_one = set(batch.codes.filter(entitlement="").values_list("holder", flat=True))
    in_queue = set(waiting.values_list("enrollment", flat=True))
    assert not with_one & in_queue
    gave_back = CodeEvent.objects.filter(verb="returned").count()
    assert len(set(lines) - with_one - in_queue) == gave_back


def test_two_imports_and_two_sweeps_serve_each_place_once(cast: Cast) -> None:
    lines, batch = enroll_students(cast.course, 40), make_batch(cast.course, codes=0)
    _run(lines, batch)
    work = [partial(_import_in_lots, batch.pk), *[partial(queue.serve_queue, batch, NOW)] * 3]
    assert all(one.ok for one in race(work))
    assert batch.waits.filter(code__isnull=False).count() == 30
    assert set(batch.waits.filter(closed_at=None).values_list("seq", flat=True)) == set(range(31, 41))
    _check_each_code_once(batch)


def test_a_click_between_new_stock_and_its_serving_passes_nobody_by(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, batch = enroll_students(cast.course, 2), make_batch(cast.course, codes=0)
    early, late = Enrollment.objects.select_related("user", "team").filter(pk__in=lines).order_by("pk")
    _click(early, batch)
    with monkeypatch.context() as dying:  # the process dies after the import
        dying.setattr(queue, "serve_queue", lambda *_args: 0)
        add_codes(batch, [(1, code_text(77))], who=None, now=NOW)
    assert _click(late, batch).place == 1
    assert batch.codes.get().holder == early
