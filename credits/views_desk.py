"""Doors of the staff's first page about codes: the books, what expires, what waits; and the same as a file."""

from datetime import UTC

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from courses.access import staff_enrollment_in
from courses.doors import signed_in
from courses.noting import note_export
from courses.sheets import XLSX
from credits import exports
from credits.desk import desk


@require_safe
@signed_in
@never_cache
def credits_desk(request: HttpRequest, slug: str) -> HttpResponse:
    course, now = staff_enrollment_in(request.user, slug).course, timezone.now()
    found = desk(course, now)
    return render(request, "credits/desk/page.html", {"now": now, "course": course, "work": found.work, "desk": found})


@require_safe
@signed_in
@never_cache
def codes_csv(request: HttpRequest, slug: str) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    note_export(request, "codes_exported", course, timezone.now())
    return _file(exports.codes_csv(course), "text/csv; charset=utf-8", f"{course.slug}-codes", "csv")


@require_safe
@signed_in
@never_cache
def codes_xlsx(request: HttpRequest, slug: str) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    note_export(request, "codes_exported", course, timezone.now())
    return _file(exports.codes_xlsx(course), XLSX, f"{course.slug}-codes", "xlsx")


def _file(content: str | bytes, kind: str, name: str, ending: str) -> HttpResponse:
    answer = HttpResponse(content, content_type=kind)
    today = timezone.now().astimezone(UTC)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}-{today:%Y-%m-%d}.{ending}"'
    return answer
