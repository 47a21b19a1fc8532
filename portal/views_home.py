"""Doors of the start page and of a person's own desk in a course."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from courses.access import enrollment_in, enrollments_of
from courses.doors import person, signed_in
from courses.entry import standing
from courses.models import Course, Role
from courses.teams import is_invited
from instances.queries import copies_of
from portal.desk import desk, held_codes, offers, shelves


@require_safe
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """Signed out: what this is. Else on to the newest course that is on: everybody to the page of their role."""
    if not request.user.is_authenticated:
        return render(request, "home/landing.html")
    today = timezone.localdate()
    mine = sorted(enrollments_of(request.user), key=lambda line: line.course.starts_on, reverse=True)
    newest = next((line for line in mine if line.course.starts_on <= today <= line.course.ends_on), None)
    newest = newest or next(iter(mine), None)
    if newest is None:
        return redirect("courses") if person(request).is_operator else _not_on_roster(request)
    if newest.role == Role.SPONSOR:
        return redirect("sponsor")
    return redirect("course_staff" if newest.is_staff_role else "course_home", newest.course.slug)


def _not_on_roster(request: HttpRequest) -> HttpResponse:
    """For a person who was let in once and is on no roster any more; others are told so when they sign in."""
    today = timezone.now().date()
    courses = Course.objects.filter(ends_on__gte=today).exclude(contact="").order_by("name")[:10]
    context = {"address": person(request).email, "courses": courses}
    return render(request, "courses/not_on_roster.html", context, status=403)


@require_safe
@signed_in
@never_cache
def course_home(request: HttpRequest, slug: str) -> HttpResponse:
    enrollment, now = enrollment_in(request.user, slug), timezone.now()
    mine = desk(enrollment, now)
    is_student = enrollment.role == Role.STUDENT
    context = {
        "now": now,
        "course": enrollment.course,
        "enrollment": enrollment,
        "desk": mine,
        "offers": offers(enrollment, now),
        "codes": held_codes(enrollment),
        "invited": is_student and enrollment.team is None and is_invited(enrollment),
        "standing": standing(enrollment, now),
        "is_student": is_student,
        "shelves": shelves(enrollment, mine.money, now),
        "copies": copies_of(enrollment),
        "homeworks": enrollment.course.homeworks.select_related("preset"),
    }
    return render(request, "course/home.html", context)


@require_safe
@signed_in
@never_cache
def course_live(request: HttpRequest, slug: str) -> HttpResponse:
    """Money and machines again, for a page that is open."""
    enrollment, now = enrollment_in(request.user, slug), timezone.now()
    context = {"now": now, "course": enrollment.course, "enrollment": enrollment, "desk": desk(enrollment, now)}
    return render(request, "course/_live.html", context)
