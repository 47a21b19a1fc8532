"""Doors of the audit: a course's for its instructors, the installation's for who runs it; the same as files."""

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from courses import audit as rows
from courses.access import instructor_enrollment_in, operator
from courses.doors import address_of, person, signed_in
from courses.models import Course
from courses.sheets import XLSX, xlsx
from portal.audit_check import head
from portal.audit_page import Filters, csv_lines, entries, lines, shown


@require_safe
@signed_in
@never_cache
def course_audit(request: HttpRequest, slug: str) -> HttpResponse:
    return _page(request, instructor_enrollment_in(request.user, slug).course)


@require_safe
@signed_in
@never_cache
def audit(request: HttpRequest) -> HttpResponse:
    operator(request.user)
    return _page(request, None)


@require_safe
@signed_in
@never_cache
def course_audit_csv(request: HttpRequest, slug: str) -> HttpResponseBase:
    return _csv(request, instructor_enrollment_in(request.user, slug).course)


@require_safe
@signed_in
@never_cache
def course_audit_xlsx(request: HttpRequest, slug: str) -> HttpResponseBase:
    return _xlsx(request, instructor_enrollment_in(request.user, slug).course)


@require_safe
@signed_in
@never_cache
def audit_csv(request: HttpRequest) -> HttpResponseBase:
    operator(request.user)
    return _csv(request, None)


@require_safe
@signed_in
@never_cache
def audit_xlsx(request: HttpRequest) -> HttpResponseBase:
    operator(request.user)
    return _xlsx(request, None)


def _page(request: HttpRequest, course: Course | None) -> HttpResponse:
    found = shown(course, request.GET)
    number, digest = head()
    context = {"now": timezone.now(), "course": course, "shown": found, "head_number": number, "head": digest[:12]}
    return render(request, "audit/page.html", context, status=422 if found.form.errors else 200)


def _csv(request: HttpRequest, course: Course | None) -> HttpResponseBase:
    form = _noted(request, course, "csv")
    return _as_file(StreamingHttpResponse(csv_lines(entries(course, form)), content_type="text/csv"), course, "csv")


def _xlsx(request: HttpRequest, course: Course | None) -> HttpResponseBase:
    form = _noted(request, course, "xlsx")
    return _as_file(HttpResponse(xlsx("audit", lines(entries(course, form))), content_type=XLSX), course, "xlsx")


def _noted(request: HttpRequest, course: Course | None, kind: str) -> Filters:
    """Who takes the audit away is in it from then on."""
    form = Filters(request.GET)
    form.is_valid()
    said = {name: str(value) for name, value in form.cleaned_data.items() if value and name != "person"}
    rows.note(
        "audit_exported",
        kind=rows.Kind.EXPORT,
        who=person(request),
        course=course,
        address=address_of(request),
        facts={"as": kind, **said},
        now=timezone.now(),
    )
    return form


def _as_file(answer: HttpResponseBase, course: Course | None, ending: str) -> HttpResponseBase:
    name = f"{course.slug if course else 'lamplighter'}-audit-{timezone.now():%Y-%m-%d}.{ending}"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
