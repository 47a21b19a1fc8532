"""Door of a course's privacy: when what is personal is removed after the term."""

from datetime import timedelta

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from courses.access import instructor_enrollment_in
from courses.audit import Kind, note
from courses.doors import address_of, person, signed_in
from courses.models import Course, User


class RetentionForm(forms.Form):
    days = forms.IntegerField(
        label=gettext_lazy("Days after the last day of the course"),
        required=False,
        min_value=30,
        max_value=3650,
        help_text=gettext_lazy("30 at least: grades are argued about. Empty: never, names stay until somebody asks."),
    )
    why = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=300,
        help_text=gettext_lazy("Instructors read it in the audit."),
        error_messages={"required": gettext_lazy("Say why.")},
    )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@never_cache
def privacy(request: HttpRequest, slug: str) -> HttpResponse:
    course = instructor_enrollment_in(request.user, slug).course
    form = RetentionForm(request.POST if request.method == "POST" else None, initial={"days": course.retention_days})
    if form.is_bound and form.is_valid():
        _set(request, course, form, person(request))
        messages.success(request, _("Saved."))
        return redirect("course_privacy", slug)
    people = course.enrollments
    context = {
        "course": course,
        "form": form,
        "on": course.ends_on + timedelta(days=course.retention_days + 1) if course.retention_days else None,
        "people": people.filter(forgotten_at=None).count(),
        "forgotten": people.exclude(forgotten_at=None).count(),
    }
    return render(request, "staff/privacy.html", context, status=422 if form.errors else 200)


@transaction.atomic
def _set(request: HttpRequest, course: Course, form: RetentionForm, who: User) -> None:
    said = form.cleaned_data
    before = Course.objects.select_for_update().get(pk=course.pk).retention_days
    Course.objects.filter(pk=course.pk).update(retention_days=said["days"])
    facts = {"before": before, "now": said["days"]}
    note(
        "retention_set",
        kind=Kind.PRIVACY,
        who=who,
        course=course,
        why=said["why"],
        address=address_of(request),
        facts=facts,
        now=timezone.now(),
    )
