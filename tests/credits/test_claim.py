"""One click, one code: the same one on every later click; refusals are kind and say why."""

from datetime import date, timedelta

import pytest
from django.db import IntegrityError, transaction

from courses.models import Enrollment, EnrollmentStatus
from credits.entitlement import Refusal
from credits.models import CodeBatch, CodeEvent, CreditCode
from credits.queries import claimable, codes_of
from credits.services import ClaimRefused, claim, report_redeemed
from tests.conftest import Cast
from tests.credits.conftest import NOW, make_batch

DAY = timedelta(days=1)


def _claim(cast: Cast, batch: CodeBatch, who: str = "student") -> CreditCode:
    line = getattr(cast, who)
    return claim(line, batch, who=line.user, address="10.1.2.3", now=NOW)


def _refusal(cast: Cast, batch: CodeBatch, who: str = "student") -> ClaimRefused:
    with pytest.raises(ClaimRefused) as caught:
        _claim(cast, batch, who)
    assert not CodeEvent.objects.filter(verb="claimed").exists()
    return caught.value


def test_a_student_claims_a_code_and_the_claim_is_a_row(cast: Cast, batch: CodeBatch) -> None:
    code = _claim(cast, batch)
    code.refresh_from_db()
    assert (code.status, code.holder, code.claimed_at) == ("claimed", cast.student, NOW)
    event = CodeEvent.objects.get(verb="claimed")
    assert (event.code, event.who, event.address, event.at) == (code, cast.student.user, "10.1.2.3", NOW)


def test_clicking_again_gives_the_same_code_and_no_second_row(cast: Cast, batch: CodeBatch) -> None:
    assert _claim(cast, batch) == _claim(cast, batch)
    assert CodeEvent.objects.filter(verb="claimed").count() == 1
    assert batch.codes.filter(status="available").count() == 2


def test_the_code_stays_the_claimants_after_redeeming_closing_and_running_out(cast: Cast, batch: CodeBatch) -> None:
    code = _claim(cast, batch)
    report_redeemed(code, who=cast.student.user, address=None, now=NOW)
    CodeBatch.objects.update(closes_at=NOW - DAY)
    batch.codes.filter(status="available").update(status="revoked")
    batch.refresh_from_db()
    assert _claim(cast, batch) == code


def test_two_students_get_two_codes(cast: Cast, batch: CodeBatch) -> None:
    assert _claim(cast, batch) != _claim(cast, batch, "other_student")


@pytest.mark.parametrize(
    ("change", "refusal", "words"),
    [
        ({"opens_at": NOW + DAY}, Refusal.NOT_OPEN_YET, "opens on"),
        ({"closes_at": NOW}, Refusal.CLOSED, "closed"),
        ({"redeem_by": date(2019, 1, 21)}, Refusal.EXPIRED, "no longer accepts"),
        ({"purpose": "prize"}, Refusal.NOT_FOR_YOU, "not for you"),
        ({"purpose": "reserve"}, Refusal.NOT_FOR_YOU, "not for you"),
    ],
)
def test_a_refusal_says_why_and_whom_to_ask(
    cast: Cast, batch: CodeBatch, change: dict, refusal: Refusal, words: str
) -> None:
    CodeBatch.objects.update(**change)
    batch.refresh_from_db()
    refused = _refusal(cast, batch)
    assert refused.refusal == refusal
    assert words in str(refused)
    assert batch.name in str(refused)


def test_the_last_day_and_the_first_minute_count(cast: Cast, batch: CodeBatch) -> None:
    CodeBatch.objects.update(opens_at=NOW, closes_at=NOW + timedelta(seconds=1), redeem_by=NOW.date())
    batch.refresh_from_db()
    assert _claim(cast, batch).holder == cast.student


def test_empty_stock_is_said_and_a_place_is_kept(cast: Cast) -> None:
    batch = make_batch(cast.course, codes=0)
    refused = _refusal(cast, batch)
    assert refused.refusal == Refusal.EMPTY
    assert "place 1 in the queue" in str(refused)


@pytest.mark.parametrize("who", ["ta", "instructor", "foreign_instructor"])
def test_only_students_of_this_course_claim(cast: Cast, batch: CodeBatch, who: str) -> None:
    assert _refusal(cast, batch, who).refusal == Refusal.NOT_FOR_YOU


@pytest.mark.parametrize("status", [EnrollmentStatus.DROPPED, EnrollmentStatus.WAITLISTED])
def test_a_dropped_or_waitlisted_student_claims_nothing(cast: Cast, batch: CodeBatch, status: str) -> None:
    Enrollment.objects.filter(pk=cast.student.pk).update(status=status)  # the page still has the old line
    assert _refusal(cast, batch).refusal == Refusal.NOT_ENROLLED


def test_the_home_page_offers_what_can_be_claimed_and_what_is_to_come(cast: Cast, batch: CodeBatch) -> None:
    later = make_batch(cast.course, 1, 100, name="Later", opens_at=NOW + DAY)
    empty = make_batch(cast.course, 0, name="Empty")
    make_batch(cast.course, 1, 200, name="Closed", closes_at=NOW - DAY)
    make_batch(cast.course, 1, 300, name="Prize", purpose="prize")
    make_batch(cast.other_course, 1, 400, name="Other course")
    offers = {offer.batch: offer for offer in claimable(cast.student, NOW)}
    assert set(offers) == {batch, later, empty}
    assert offers[batch].refusal is None
    assert offers[batch].words == ""
    assert offers[later].refusal == Refusal.NOT_OPEN_YET
    assert offers[empty].refusal == Refusal.EMPTY
    _claim(cast, batch)
    assert batch not in {offer.batch for offer in claimable(cast.student, NOW)}
    assert [code.batch for code in codes_of(cast.student)] == [batch]


def test_offers_and_codes_cost_one_query_each_however_many(cast: Cast, django_assert_num_queries) -> None:
    for n in range(6):
        _claim(cast, make_batch(cast.course, 2, n * 10, name=f"Batch {n}"))
        make_batch(cast.course, 2, 1000 + n * 10, name=f"Offer {n}")
    with django_assert_num_queries(1):
        assert len(claimable(cast.student, NOW)) == 6
    with django_assert_num_queries(1):
        assert len({code.batch.course.name + str(code.holder) for code in codes_of(cast.student)}) == 1


def test_the_database_refuses_two_codes_of_one_batch_and_a_claim_without_holder(cast: Cast, batch: CodeBatch) -> None:
    _claim(cast, batch)
    free = batch.codes.filter(status="available")[0]
    for change in (
        {"status": "claimed", "holder": cast.student, "claimed_at": NOW},
        {"status": "claimed"},
        {"holder": cast.other_student},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            CreditCode.objects.filter(pk=free.pk).update(**change)
