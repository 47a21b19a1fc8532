"""When stock is out a claimant has a place, is served in order when codes come, however they come, and gets a mail."""

from datetime import timedelta

import pytest
from django.utils import translation

from courses.models import Enrollment, EnrollmentStatus
from credits import queue
from credits.claiming import InQueue, claim
from credits.entitlement import Refusal, Rule
from credits.models import CodeBatch, CodeEvent, CodeWait, CreditCode, Letter
from credits.opening import close_now, set_rule
from credits.queries import claimable, held_by_departed, waiting
from credits.returns import return_code
from credits.stock import add_codes
from credits.sweep import sweep
from credits.tasks import sweep_credits
from tests.conftest import Cast
from tests.credits.conftest import NOW, code_text, enroll_students, make_batch

DAY = timedelta(days=1)


@pytest.fixture
def empty(cast: Cast) -> CodeBatch:
    return make_batch(cast.course, codes=0)


@pytest.fixture
def five(cast: Cast) -> list[Enrollment]:
    return list(Enrollment.objects.filter(pk__in=enroll_students(cast.course, 5)).order_by("pk"))


def _click(line: Enrollment, batch: CodeBatch) -> int | CreditCode:
    """The place, or the code."""
    try:
        return claim(line, batch, who=line.user, address=None, now=NOW)
    except InQueue as waits:
        return waits.place


def _bring(batch: CodeBatch, count: int, first: int = 500) -> None:
    add_codes(batch, ((n, code_text(first + n)) for n in range(count)), who=None, now=NOW)


def _served(batch: CodeBatch) -> list[Enrollment]:
    return [wait.enrollment for wait in batch.waits.filter(code__isnull=False)]


def test_each_claimant_has_one_place_in_order_however_often_they_click(five: list, empty: CodeBatch) -> None:
    assert [_click(line, empty) for line in five] == [1, 2, 3, 4, 5]
    assert [_click(line, empty) for line in reversed(five)] == [5, 4, 3, 2, 1]
    assert [wait.enrollment for wait in waiting(empty)] == five


def test_new_stock_goes_to_those_who_came_first_and_each_claim_is_a_row(five: list, empty: CodeBatch) -> None:
    for line in five:
        _click(line, empty)
    _bring(empty, 2)
    assert _served(empty) == five[:2]
    assert list(empty.codes.values_list("holder", "status")) == [(line.pk, "claimed") for line in five[:2]]
    assert list(CodeEvent.objects.filter(verb="claimed").values_list("why", "who")) == [
        ("Served from the queue", None),
        ("Served from the queue", None),
    ]
    assert [_click(line, empty) for line in five[2:]] == [1, 2, 3]
    assert _click(five[0], empty) == empty.codes.first()
    _bring(empty, 5, first=600)
    assert _served(empty) == five
    assert empty.codes.filter(status="available").count() == 2


def test_who_comes_while_others_wait_goes_behind_them(five: list, empty: CodeBatch, monkeypatch) -> None:
    _click(five[0], empty)
    with monkeypatch.context() as died:  # stock came in, and the process died before it served anybody
        died.setattr(queue, "serve_queue", lambda *_args: 0)
        _bring(empty, 1)
    assert _click(five[1], empty) == 1
    assert _served(empty) == [five[0]]


def test_what_a_dead_process_left_undone_is_done_by_the_sweep(five: list, empty: CodeBatch, monkeypatch) -> None:
    for line in five:
        _click(line, empty)
    with monkeypatch.context() as died:
        died.setattr(queue, "serve_queue", lambda *_args: 0)
        _bring(empty, 3)
    assert _served(empty) == []
    assert sweep(NOW) == 3
    assert sweep(NOW) == 0
    assert _served(empty) == five[:3]


def test_the_beats_round_serves_too(five: list, empty: CodeBatch) -> None:
    _click(five[0], empty)
    CreditCode.objects.create(batch=empty, ciphertext="x", digest="d", last4="0000")
    sweep_credits()
    assert _served(empty) == five[:1]


def test_a_code_given_back_unseen_goes_to_the_first_in_the_queue(cast: Cast, five: list) -> None:
    batch = make_batch(cast.course, codes=1)
    code = _click(cast.student, batch)
    assert isinstance(code, CreditCode)
    _click(five[0], batch)
    assert return_code(code, why="I have enough", who=cast.student.user, now=NOW) == "available"
    code.refresh_from_db()
    assert (code.holder, code.status) == (five[0], "claimed")


@pytest.mark.parametrize("status", [EnrollmentStatus.DROPPED, EnrollmentStatus.WAITLISTED])
def test_who_has_left_is_skipped_and_gets_no_letter(five: list, empty: CodeBatch, status: str) -> None:
    for line in five:
        _click(line, empty)
    Enrollment.objects.filter(pk=five[0].pk).update(status=status)
    _bring(empty, 1)
    assert _served(empty) == [five[1]]
    lost = CodeWait.objects.get(enrollment=five[0])
    assert (lost.closed_at, lost.why, lost.code) == (NOW, "not enrolled", None)
    assert not Letter.objects.filter(to=five[0].email).exists()


def test_the_sweep_closes_the_places_of_those_who_left_so_that_the_others_move_up(five: list, empty: CodeBatch) -> None:
    for line in five:
        _click(line, empty)
    Enrollment.objects.filter(pk__in=[line.pk for line in five[:2]]).update(status="dropped")
    sweep(NOW)
    assert [_click(line, empty) for line in five[2:]] == [1, 2, 3]


def test_a_code_that_was_claimed_stays_with_who_dropped_and_is_shown_to_staff(cast: Cast, batch: CodeBatch) -> None:
    code = _click(cast.student, batch)
    assert list(held_by_departed(cast.course)) == []
    Enrollment.objects.filter(pk=cast.student.pk).update(status="dropped")
    sweep(NOW)
    assert list(held_by_departed(cast.course)) == [code]
    assert code.holder == cast.student


def test_a_rule_that_no_longer_covers_somebody_closes_their_place_and_tells_them(five: list, empty: CodeBatch) -> None:
    Enrollment.objects.filter(pk=five[1].pk).update(section="7")
    _click(five[0], empty)
    _click(five[1], empty)
    set_rule(empty, Rule(sections=("7",)), who=None, why="lab only", now=NOW)
    assert [wait.enrollment for wait in waiting(empty)] == [five[1]]
    letter = Letter.objects.get()
    assert letter.to == five[0].email
    assert "No longer in the queue" in letter.subject


def test_a_place_taken_in_time_outlives_the_closing_but_not_the_codes_own_date(five: list, empty: CodeBatch) -> None:
    _click(five[0], empty)
    close_now(empty, who=None, why="enough", now=NOW)
    CodeBatch.objects.update(redeem_by=NOW.date() - DAY)
    _bring(empty, 1)
    assert _served(empty) == []
    CodeBatch.objects.update(redeem_by=NOW.date())
    assert queue.serve_queue(empty, NOW) == 1


# ------------------------------------------------------------------ letters
def test_who_is_served_gets_one_letter_with_the_page_and_without_the_code(five: list, empty: CodeBatch) -> None:
    _click(five[0], empty)
    with translation.override("zh-hans"):  # of whoever brings the codes
        _bring(empty, 1)
    queue.serve_queue(empty, NOW)
    letter = Letter.objects.get()
    assert letter.to == five[0].email
    assert letter.subject == "Your AWS credit has come: Credit for everyone"
    assert "/c/dl19/" in letter.body
    assert code_text(500) not in letter.body + letter.subject
    assert empty.codes.get().last4 not in letter.body


def test_who_gets_a_code_at_once_gets_no_letter(cast: Cast, batch: CodeBatch) -> None:
    _click(cast.student, batch)
    assert not Letter.objects.exists()


# ------------------------------------------------------------------ on the page
def test_the_home_page_shows_the_place_in_one_query(five: list, empty: CodeBatch, django_assert_num_queries) -> None:
    [offer] = claimable(five[2], NOW)
    assert (offer.refusal, offer.place) == (Refusal.EMPTY, None)
    for line in five:
        _click(line, empty)
    with django_assert_num_queries(1):
        [offer] = claimable(five[2], NOW)
    assert (offer.refusal, offer.place) == (Refusal.EMPTY, 3)
    assert "place 3 in the queue" in offer.words
    close_now(empty, who=None, why="", now=NOW)
    assert [offer.place for offer in claimable(five[2], NOW)] == [3]
    _bring(empty, 5)
    assert claimable(five[2], NOW) == []


def test_staff_read_the_queue_in_one_query(five: list, empty: CodeBatch, django_assert_num_queries) -> None:
    for line in five:
        _click(line, empty)
    with django_assert_num_queries(1):
        assert [wait.enrollment.name for wait in waiting(empty)] == [line.name for line in five]
