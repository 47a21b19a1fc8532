"""Doors of the staff: what the course spends and runs, and the same as a file."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from courses.access import staff_enrollment_in
from courses.doors import signed_in
from courses.models import Role
from courses.noting import note_export, note_look
from courses.setting_up import is_begun
from instances.queries import accrued_in
from portal.charts import spend_chart
from portal.desk import desk, held_codes
from portal.overview import live, report
from spend.exports import spend_csv as csv_of


@require_safe
@signed_in
@never_cache
def course_staff(request: HttpRequest, slug: str) -> HttpResponse:
    me, now = staff_enrollment_in(request.user, slug), timezone.now()
    course, found = me.course, report(me.course, now)
    unset = me.role == Role.INSTRUCTOR and is_begun(course)
    context = {"now": now, "course": course, "live": live(course, now), "report": found, "unset": unset}
    return render(request, "staff/page.html", {**context, "chart": spend_chart(found.days)})


@require_safe
@signed_in
@never_cache
def course_staff_live(request: HttpRequest, slug: str) -> HttpResponse:
    """Figures and running machines again, for a page that is open."""
    course, now = staff_enrollment_in(request.user, slug).course, timezone.now()
    return render(request, "staff/_live.html", {"now": now, "course": course, "live": live(course, now)})


@require_safe
@signed_in
@never_cache
def course_person(request: HttpRequest, slug: str, enrollment_id: int) -> HttpResponse:
    """One person's money, machines and codes (never their text): what a TA needs to answer a question."""
    course, now = staff_enrollment_in(request.user, slug).course, timezone.now()
    people = course.enrollments.select_related("team", "course", "user")
    found = get_object_or_404(people, pk=enrollment_id)
    note_look(request, "person_page", found, now)
    context = {"now": now, "course": course, "enrollment": found, "desk": desk(found, now), "codes": held_codes(found)}
    return render(request, "staff/person.html", context)


@require_safe
@signed_in
@never_cache
def spend_csv(request: HttpRequest, slug: str) -> HttpResponse:
    course, now = staff_enrollment_in(request.user, slug).course, timezone.now()
    note_export(request, "spend_exported", course, now)
    name = f"{course.slug}-spend-{now:%Y-%m-%d}.csv"
    answer = HttpResponse(csv_of(course, accrued=accrued_in(course, now)), content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
