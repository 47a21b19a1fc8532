"""Doors of the roster: the list, one person, and taking the list away. Files come in by `views_roster_import.py`."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from courses import rostering
from courses.access import staff_enrollment_in
from courses.doors import person, signed_in
from courses.models import Course, Enrollment, EnrollmentStatus, Role
from courses.noting import note_export, note_look
from courses.roster_export import roster_csv, roster_xlsx
from courses.rostering import RosterRefused
from courses.sheets import XLSX
from instances import tasks
from instances.dispatch import send_after_commit
from portal import people
from portal.forms_roster import LeaveForm, PersonForm

GET_OR_POST = ["GET", "HEAD", "POST"]


@require_safe
@signed_in
@never_cache
def roster(request: HttpRequest, slug: str) -> HttpResponse:
    me = staff_enrollment_in(request.user, slug)
    lines = list(rostering.lines_to_show(me.course))
    counts = {status: sum(line.status == status for line in lines) for status in EnrollmentStatus}
    context = {
        "now": timezone.now(),
        "course": me.course,
        "lines": lines,
        "counts": [(EnrollmentStatus(status).label, count) for status, count in counts.items() if count],
        "sections": sorted({line.section for line in lines if line.section}),
        "never_in": sum(line.user_id is None and line.status == EnrollmentStatus.ACTIVE for line in lines),
    }
    return render(request, "people/roster.html", context)


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def roster_add(request: HttpRequest, slug: str) -> HttpResponse:
    me = staff_enrollment_in(request.user, slug)
    form = PersonForm(request.POST or None, may_give_roles=me.role == Role.INSTRUCTOR, initial={"role": Role.STUDENT})
    if form.is_bound and form.is_valid():
        try:
            line = people.add_person(me.course, form.facts(), by=me.role, who=person(request), now=timezone.now())
        except RosterRefused as refused:
            form.add_error(refused.field, str(refused))
        else:
            messages.success(request, _("%(name)s is on the roster.") % {"name": line.name})
            return redirect("roster", slug)
    context = {"course": me.course, "form": form}
    return render(request, "people/add.html", context, status=422 if form.errors else 200)


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def roster_person(request: HttpRequest, slug: str, enrollment_id: int) -> HttpResponse:
    """One line: change it. Closing and letting back in have buttons of their own."""
    me = staff_enrollment_in(request.user, slug)
    line = _line(me.course, enrollment_id)
    note_look(request, "roster_line", line, timezone.now())
    form = _form(me, line, request.POST or None)
    if form.is_bound and form.is_valid():
        try:
            rostering.change_person(line, form.facts(line.role), by=me.role, who=person(request), now=timezone.now())
        except RosterRefused as refused:
            form.add_error(refused.field if refused.field in form.fields else None, str(refused))
        else:
            messages.success(request, _("%(name)s is changed.") % {"name": form.cleaned_data["name"]})
            return redirect("roster_person", slug, line.pk)
    return _person_page(request, me, line, form, LeaveForm(), 422 if form.errors else 200)


@require_POST
@signed_in
def roster_close(request: HttpRequest, slug: str, enrollment_id: int) -> HttpResponse:
    me, now = staff_enrollment_in(request.user, slug), timezone.now()
    line, form = _line(me.course, enrollment_id), LeaveForm(request.POST)
    if not form.is_valid():
        return _person_page(request, me, line, _form(me, line), form, 422)
    try:
        left = people.close_people([line], why=form.cleaned_data["why"], by=me.role, who=person(request), now=now)
    except RosterRefused as refused:
        messages.error(request, str(refused))
        return redirect("roster_person", slug, line.pk)
    after_closing(request, me.course, left)
    return redirect("roster_person", slug, line.pk)


@require_POST
@signed_in
def roster_reopen(request: HttpRequest, slug: str, enrollment_id: int) -> HttpResponse:
    me = staff_enrollment_in(request.user, slug)
    line, why = _line(me.course, enrollment_id), request.POST.get("why", "")
    try:
        changed = people.reopen(line, why=why, by=me.role, who=person(request), now=timezone.now())
    except RosterRefused as refused:
        messages.error(request, str(refused))
    else:
        text = _("%(name)s is in the course again.") if changed else _("%(name)s is in the course already.")
        messages.success(request, text % {"name": line.name})
    return redirect("roster_person", slug, line.pk)


@require_safe
@signed_in
@never_cache
def roster_csv_file(request: HttpRequest, slug: str) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    note_export(request, "roster_exported", course, timezone.now())
    return attached(roster_csv(course), "text/csv; charset=utf-8", f"{course.slug}-roster.csv")


@require_safe
@signed_in
@never_cache
def roster_xlsx_file(request: HttpRequest, slug: str) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    note_export(request, "roster_exported", course, timezone.now())
    return attached(roster_xlsx(course), XLSX, f"{course.slug}-roster.xlsx")


def attached(content: str | bytes, kind: str, name: str) -> HttpResponse:
    answer = HttpResponse(content, content_type=kind)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def after_closing(request: HttpRequest, course: Course, left: people.Left) -> None:
    """AWS is told, places in queues are closed, and staff read what happened."""
    if left.machines:
        send_after_commit(tasks.stop, left.machines)
    people.finish_closing(course, who=person(request), now=timezone.now())
    if not left.people:
        return
    text = ngettext("%(n)d person is closed.", "%(n)d people are closed.", left.people) % {"n": left.people}
    n = len(left.machines)
    if n:
        text += " " + ngettext("%(n)d machine is stopping.", "%(n)d machines are stopping.", n) % {"n": n}
    messages.success(request, text)


def _line(course: Course, enrollment_id: int) -> Enrollment:
    return get_object_or_404(course.enrollments.select_related("user", "team", "course"), pk=enrollment_id)


def _form(me: Enrollment, line: Enrollment, said: QueryDict | None = None) -> PersonForm:
    initial = {name: getattr(line, name) for name in ("name", "email", "role", "section", "roster_key")}
    return PersonForm(said, may_give_roles=me.role == Role.INSTRUCTOR, initial=initial)


def _person_page(
    request: HttpRequest, me: Enrollment, line: Enrollment, form: PersonForm, leave: LeaveForm, status: int
) -> HttpResponse:
    context = {
        "now": timezone.now(),
        "course": me.course,
        "line": line,
        "form": form,
        "leave": leave,
        "is_instructor": me.role == Role.INSTRUCTOR,
        "may_change": me.role == Role.INSTRUCTOR or not line.is_staff_role,
        "events": line.events.select_related("who").order_by("-at", "-pk")[:30],
    }
    return render(request, "people/person.html", context, status=status)
