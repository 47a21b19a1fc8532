"""Door of a course's entry policy: who may look who is no active student of a course that is on."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from courses import course_settings, entry
from courses.access import instructor_enrollment_in
from courses.doors import person, signed_in
from courses.models import Course, EnrollmentStatus, Role

_EFFECT = {
    "waitlisted_enter": gettext_lazy(
        "They see the course and its presets, and claim a code where a batch’s rule says so; they launch nothing."
    ),
    "dropped_enter": gettext_lazy(
        "They see what they spent, their codes and their data, and change nothing. Off: they are refused at sign-in."
    ),
    "auditors_enter": gettext_lazy(
        "People whose role on the roster is guest auditor: they see the presets, have no budget and launch nothing."
    ),
    "alumni_days": gettext_lazy(
        "Then students and guest auditors see their own money, codes and data, and launch or claim nothing. 0: no "
        "entry from the day after the last one. Empty: as long as the course’s data is kept. Staff always come in."
    ),
}


class EntryForm(forms.Form):
    waitlisted_enter = forms.BooleanField(label=gettext_lazy("Waitlisted people may enter and look"), required=False)
    dropped_enter = forms.BooleanField(label=gettext_lazy("Dropped people may enter and look"), required=False)
    auditors_enter = forms.BooleanField(label=gettext_lazy("Guest auditors may enter and look"), required=False)
    alumni_days = forms.IntegerField(
        label=gettext_lazy("After the course: days to look back"), required=False, min_value=0, max_value=3650
    )
    why = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=300,
        help_text=gettext_lazy("Instructors read it in the audit."),
        error_messages={"required": gettext_lazy("Say why.")},
    )

    def __init__(self, data: Any, *, course: Course) -> None:
        initial = {name: getattr(course, name) for name in entry.FIELDS}
        initial["alumni_days"] = None if course.alumni_for is None else course.alumni_for.days
        super().__init__(data, initial=initial)
        for name, count in _covered(course).items():
            now = ngettext("%(n)d person on the roster now.", "%(n)d people on the roster now.", count) % {"n": count}
            self.fields[name].help_text = f"{now} {_EFFECT[name]}"

    def policy(self) -> dict[str, Any]:
        said = self.cleaned_data
        days = said["alumni_days"]
        return {
            **{name: said[name] for name in ("waitlisted_enter", "dropped_enter", "auditors_enter")},
            "alumni_for": None if days is None else timedelta(days=days),
        }


def _covered(course: Course) -> dict[str, int]:
    """How many lines each field is about. One query."""
    active, student = Q(status=EnrollmentStatus.ACTIVE), Q(role=Role.STUDENT)
    found = course.enrollments.filter(forgotten_at=None).aggregate(
        waitlisted_enter=Count("pk", filter=student & Q(status=EnrollmentStatus.WAITLISTED)),
        dropped_enter=Count("pk", filter=student & Q(status=EnrollmentStatus.DROPPED)),
        auditors_enter=Count("pk", filter=active & Q(role=Role.AUDITOR)),
        alumni_days=Count("pk", filter=active & Q(role__in=(Role.STUDENT, Role.AUDITOR))),
    )
    return {name: int(count) for name, count in found.items()}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@never_cache
def entry_policy(request: HttpRequest, slug: str) -> HttpResponse:
    course = instructor_enrollment_in(request.user, slug).course
    form = EntryForm(request.POST if request.method == "POST" else None, course=course)
    if form.is_bound and form.is_valid():
        why, now = form.cleaned_data["why"], timezone.now()
        changed = course_settings.change(course, form.policy(), who=person(request), now=now, why=why)
        messages.success(request, _("Saved: it holds from the next click on.") if changed else _("It was so already."))
        return redirect("course_entry", slug)
    context = {"course": course, "form": form}
    return render(request, "staff/entry.html", context, status=422 if form.errors else 200)
