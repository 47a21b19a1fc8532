"""The door of one person's exceptions: instructors alone, for the reasons are nobody else's business."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from courses.access import instructor_enrollment_in
from courses.doors import person, signed_in
from courses.noting import note_look
from portal.forms_overrides import OverridesForm
from portal.overrides import make_exceptions
from spend.models import Budget
from spend.services import BudgetRefused


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@never_cache
def roster_exceptions(request: HttpRequest, slug: str, enrollment_id: int) -> HttpResponse:
    course = instructor_enrollment_in(request.user, slug).course
    line = get_object_or_404(course.enrollments.select_related("user", "course", "limits"), pk=enrollment_id)
    now = timezone.now()
    note_look(request, "exceptions", line, now)
    form = OverridesForm(line, Budget.objects.filter(enrollment=line).first(), request.POST or None)
    if form.is_bound and form.is_valid():
        try:
            n = make_exceptions(line, form.wanted(), why=form.cleaned_data["why"], who=person(request), now=now)
        except BudgetRefused as refused:
            form.add_error("budget_usd" if "budget_usd" in form.fields else None, str(refused))
        else:
            words = _("Saved for %(name)s, from now on.") if n else _("Nothing was different.")
            messages.success(request, words % {"name": line.name})
            return redirect("roster_exceptions", slug, line.pk)
    rows = line.overrides.select_related("who").order_by("-at", "-pk")[:50]
    context = {"now": now, "course": course, "line": line, "form": form, "rows": rows}
    return render(request, "people/exceptions.html", context, status=422 if form.errors else 200)
