"""Doors of homework: the link that opens a notebook with one click, and the staff's page of sources and links."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from courses.access import enrollment_in, staff_enrollment_in
from courses.doors import person, signed_in
from courses.models import Course, Enrollment
from instances import homework, services, tasks
from instances.dispatch import send_after_commit
from instances.forms_homework import HomeworkForm, SourceForm
from instances.homework import Homework, HomeworkSource
from instances.homework_rules import Assignment, BadLink
from instances.models import Instance, Preset
from instances.queries import newest_of
from instances.quotes import start_usd
from instances.refusals import LaunchRefused
from instances.states import State
from instances.views import confirm_page
from spend.services import BudgetRefused

GET_OR_POST = ["GET", "HEAD", "POST"]


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def open_homework(request: HttpRequest, slug: str) -> HttpResponse:
    """Straight into the notebook of a machine that runs or is coming; else what that costs, and then one click."""
    enrollment, now = enrollment_in(request.user, slug), timezone.now()
    try:
        work = homework.asked_for(enrollment.course, request.GET)
    except BadLink as error:
        context = {"course": enrollment.course, "why": homework.wrong_words(error), "now": now}
        return render(request, "machine/bad_link.html", context, status=422)
    preset = _preset(enrollment.course, request.GET.get("preset", ""))
    mine = newest_of(enrollment, preset)
    if mine and mine.state != State.STOPPED:
        return _to_notebook(mine, work)
    refused = ""
    if request.method == "POST":
        try:
            return _to_notebook(_ask(request, enrollment, preset, mine), work)
        except (LaunchRefused, BudgetRefused) as error:
            refused = str(error)
    if mine:
        context = {"machine": mine, "work": work, "usd": start_usd(mine), "refused": refused, "now": now}
        return render(request, "machine/start.html", context, status=409 if refused else 200)
    return confirm_page(request, enrollment, preset, now, refused=refused, work=work)


def _preset(course: Course, slug: str) -> Preset:
    """The named one; without a name the course's first. Raises Http404."""
    presets = Preset.objects.filter(course=course)
    first = presets.filter(enabled=True).first()
    return get_object_or_404(presets, slug=slug) if slug or first is None else first


def _ask(request: HttpRequest, enrollment: Enrollment, preset: Preset, mine: Instance | None) -> Instance:
    """Raises LaunchRefused or BudgetRefused."""
    now = timezone.now()
    if mine is None:
        machine = services.request_launch(enrollment, preset, who=person(request), now=now)
        send_after_commit(tasks.launch, machine.pk)
        return machine
    services.request_start(mine, who=person(request), now=now)
    send_after_commit(tasks.start, mine.pk)
    return mine


def _to_notebook(machine: Instance, work: Assignment) -> HttpResponse:
    return redirect(f"{reverse('notebook', args=[machine.slug])}?{urlencode({'path': work.notebook_path})}")


# ------------------------------------------------------------------ staff
@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def homework_desk(request: HttpRequest, slug: str) -> HttpResponse:
    """Sources and links; a POST adds one of either, which its form's own button says."""
    course, now = staff_enrollment_in(request.user, slug).course, timezone.now()
    allowing = request.POST.get("what") == "source"
    posted = request.POST if request.method == "POST" else None
    sources = SourceForm(posted if allowing else None)
    links = HomeworkForm(course, None if allowing else posted)
    if sources.is_bound and sources.is_valid():
        homework.allow(course, sources.cleaned_data["address"], who=person(request), now=now)
        messages.success(request, _("Allowed: links may open what lies there."))
        return redirect("homework_desk", slug)
    if links.is_bound and links.is_valid():
        Homework.objects.create(course=course, added_by=person(request), added_at=now, **links.cleaned_data)
        messages.success(request, _("On the course's home page from now on."))
        return redirect("homework_desk", slug)
    context = {
        "now": now,
        "course": course,
        "source_form": sources,
        "form": links,
        "sources": course.homework_sources.select_related("added_by"),
        "homeworks": course.homeworks.select_related("preset"),
        "address": request.build_absolute_uri(reverse("open_homework", args=[slug])),
    }
    return render(request, "staff/homework.html", context, status=422 if sources.errors or links.errors else 200)


@require_POST
@signed_in
def homework_drop(request: HttpRequest, slug: str, homework_id: int) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    get_object_or_404(Homework, course=course, pk=homework_id).delete()
    messages.success(request, _("The link is off the home page. Files that were pulled stay where they are."))
    return redirect("homework_desk", slug)


@require_POST
@signed_in
def homework_source_drop(request: HttpRequest, slug: str, source_id: int) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    get_object_or_404(HomeworkSource, course=course, pk=source_id).delete()
    messages.success(request, _("Links to repositories there are refused from now on."))
    return redirect("homework_desk", slug)
