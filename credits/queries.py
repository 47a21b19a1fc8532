"""Which codes and offers a person sees. Reads only; the number of queries does not grow with codes or batches."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery

from courses.access import enrollments_of
from courses.models import STAFF_ROLES, Course, Enrollment, EnrollmentStatus, User
from credits import queue
from credits.claiming import KEY
from credits.coverage import refusal_of
from credits.entitlement import Refusal
from credits.holding import HELD
from credits.models import CodeBatch, CodeShare, CodeWait, CreditCode
from credits.words import queue_words, refusal_words


@dataclass(frozen=True, slots=True)
class Offer:
    """A batch that this person may claim from, now or soon.

    `refusal` is None when there is a code to claim. EMPTY without a `place`: claiming takes a place in the queue.
    """

    batch: CodeBatch
    refusal: Refusal | None
    words: str  # why not, for the page; empty when there is a code
    place: int | None = None  # in the queue, from 1


_WORTH_SHOWING = {None, Refusal.NOT_OPEN_YET, Refusal.EMPTY, Refusal.NO_TEAM}


def claimable(enrollment: Enrollment, now: datetime) -> list[Offer]:
    """Offers still open or to come, without those already claimed. One query."""
    codes = CreditCode.objects.filter(batch=OuterRef("pk"))
    claimed = codes.filter(_theirs(enrollment), entitlement=KEY, status__in=HELD)
    waiting = CodeWait.objects.filter(batch=OuterRef("pk"), closed_at=None).order_by()
    ahead = waiting.filter(seq__lte=OuterRef("my_seq")).values("batch").annotate(count=Count("pk")).values("count")
    batches = (
        CodeBatch.objects.filter(course=enrollment.course_id)
        .select_related("course")
        .annotate(
            has_free=Exists(codes.filter(status=CreditCode.Status.AVAILABLE)) & ~Exists(waiting),
            my_seq=Subquery(waiting.filter(_own_place(enrollment)).values("seq")[:1]),
            my_place=Subquery(ahead),
        )
        .exclude(Exists(claimed))
    )
    offers = [_offer(enrollment, batch, now) for batch in batches]
    return [offer for offer in offers if offer.place or offer.refusal in _WORTH_SHOWING]


def _theirs(enrollment: Enrollment) -> Q:
    """Their own codes, their team's, and those of an earlier team in which they had a part."""
    mine = Q(holder=enrollment) | Q(Exists(CodeShare.objects.filter(code=OuterRef("pk"), enrollment=enrollment)))
    return mine | Q(team=enrollment.team_id) if enrollment.team_id else mine


def _own_place(enrollment: Enrollment) -> Q:
    own = Q(team=None, enrollment=enrollment)
    return own | Q(team=enrollment.team_id) if enrollment.team_id else own


def _offer(enrollment: Enrollment, batch: CodeBatch, now: datetime) -> Offer:
    place: int | None = batch.my_place  # type: ignore[attr-defined]
    if place:
        return Offer(batch, Refusal.EMPTY, queue_words(place, batch), place)
    refusal = refusal_of(enrollment, batch, now)
    if refusal is None and not batch.has_free:  # type: ignore[attr-defined]
        refusal = Refusal.EMPTY
    return Offer(batch, refusal, refusal_words(refusal, batch) if refusal else "")


def waiting(batch: CodeBatch) -> QuerySet[CodeWait]:
    """For staff: who waits, in the order in which they are served. One query."""
    return queue.open_places(batch).select_related("enrollment", "team")


def codes_of(enrollment: Enrollment) -> QuerySet[CreditCode]:
    """All that this person or their team ever held, newest first, with batch and course. One query."""
    return (
        CreditCode.objects.filter(_theirs(enrollment))
        .select_related("batch__course", "holder", "team")
        .order_by("-claimed_at", "-pk")
    )


def held_by_departed(course: Course) -> QuerySet[CreditCode]:
    """For staff: what people hold who have dropped the course or are back on the waitlist. It stays theirs."""
    gone = (EnrollmentStatus.DROPPED, EnrollmentStatus.WAITLISTED)
    codes = CreditCode.objects.filter(batch__course=course, holder__status__in=gone, status__in=HELD)
    return codes.select_related("batch", "holder").order_by("holder__name", "pk")


def codes_visible_to(user: User | AnonymousUser) -> QuerySet[CreditCode]:
    """Access for every door: the holder's and their team's codes, and all codes of courses where they are staff."""
    if not user.is_authenticated:
        return CreditCode.objects.none()
    mine = enrollments_of(user).order_by()  # a waitlisted person may hold one, too
    staffed = mine.filter(role__in=STAFF_ROLES).values("course")
    shared = Exists(CodeShare.objects.filter(code=OuterRef("pk"), enrollment__in=mine))
    own = Q(holder__in=mine) | Q(team__members__in=mine) | shared
    codes = CreditCode.objects.filter(own | Q(batch__course__in=staffed)).distinct()
    return codes.select_related("batch__course", "holder", "team")
