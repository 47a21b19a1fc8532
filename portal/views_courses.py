"""Doors of the list of courses and of a new one: for whoever runs this installation."""

from django.contrib import messages
from django.db import transaction
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from courses.access import operator
from courses.doors import person, signed_in
from courses.models import Course, EnrollmentStatus, Role
from courses.setting_up import SetUpRefused, create_course
from credits import letters
from portal.forms_setup import CourseForm


@require_safe
@signed_in
@never_cache
def course_list(request: HttpRequest) -> HttpResponse:
    """All courses, the newest first: their rules are an operator's business, their people are not."""
    operator(request.user)
    students = Count(
        "enrollments", filter=Q(enrollments__role=Role.STUDENT, enrollments__status=EnrollmentStatus.ACTIVE)
    )
    found = Course.objects.annotate(students=students).order_by("-starts_on", "slug")
    return render(request, "setup/courses.html", {"now": timezone.now(), "found": found})


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@never_cache
def course_new(request: HttpRequest) -> HttpResponse:
    operator(request.user)
    form = CourseForm(request.POST or None, initial={"timezone": timezone.get_current_timezone_name()})
    if form.is_bound and form.is_valid():
        said = form.cleaned_data
        try:
            with transaction.atomic():
                made = create_course(
                    form.facts(),
                    instructor=said["instructor"],
                    name=said["instructor_name"],
                    who=person(request),
                    now=timezone.now(),
                )
                invite(request, made, said["instructor"])
        except SetUpRefused as refused:
            form.add_error(refused.field, str(refused))
        else:
            messages.success(
                request, _("The course is there. %(who)s is invited to set it up.") % {"who": said["instructor_name"]}
            )
            return redirect("setup", made.slug)
    return render(request, "setup/new.html", {"form": form}, status=422 if form.errors else 200)


def invite(request: HttpRequest, course: Course, address: str) -> None:
    """A letter with the way to the set-up; the address on the roster is what lets them in."""
    link = request.build_absolute_uri(reverse("setup", args=[course.slug]))
    body = _(
        "You are an instructor of %(course)s in Lamplighter, the course's GPU desk.\n\n"
        "Sign in with your university account and set it up step by step; you can stop and go on at any time:\n"
        "%(link)s\n"
    )
    letters.write(
        f"course/{course.pk}/{address}",
        to=address,
        subject=_("Set up %(course)s") % {"course": course.name},
        body=body % {"course": course.name, "link": link},
        now=timezone.now(),
    )
