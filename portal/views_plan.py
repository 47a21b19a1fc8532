"""The door of the spending plan: staff look at it; instructors change it, after a preview."""

from datetime import date
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from courses import audit
from courses.access import staff_enrollment_in
from courses.audit import Kind
from courses.doors import address_of, person, signed_in
from courses.models import Course, Role
from credits.forms import DayInput
from portal.forms_spend import PeriodForm
from portal.spend_charts import burn_chart, burn_table, burn_words
from portal.spending import BREAKDOWNS, Spending
from spend.planning import faults, set_plan

SPARE = 3  # empty lines to write into
MOST = 40


class PointForm(forms.Form):
    day = forms.DateField(label=gettext_lazy("By the end of"), required=False, widget=DayInput())
    usd = forms.DecimalField(
        label=gettext_lazy("Spent in all, USD"), required=False, min_value=0, max_digits=10, decimal_places=2
    )

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        day, usd = said.get("day"), said.get("usd")
        if not self.errors and (day is None) != (usd is None):
            self.add_error("day" if day is None else "usd", _("Both, or neither: an empty line is left out."))
        return said


class PlanForms(forms.BaseFormSet):  # type: ignore[type-arg]
    """The lines of a plan of one course."""

    def __init__(self, *args: Any, course: Course, amount_usd: Decimal, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.course, self.amount_usd = course, amount_usd

    def clean(self) -> None:
        if any(self.errors):
            return
        written = [form for form in self.forms if form.cleaned_data.get("day")]
        points = [(form.cleaned_data["day"], form.cleaned_data["usd"]) for form in written]
        ends = {"starts_on": self.course.starts_on, "ends_on": self.course.ends_on}
        for n, field, problem in faults(points, **ends, amount_usd=self.amount_usd):
            written[n].add_error(field, problem)

    @property
    def points(self) -> list[tuple[date, Decimal]]:
        said = [form.cleaned_data for form in self.forms]
        return sorted((one["day"], one["usd"]) for one in said if one.get("day"))


PlanFormSet = cast(
    type[PlanForms],
    forms.formset_factory(
        PointForm, formset=PlanForms, extra=SPARE, max_num=MOST, absolute_max=MOST, validate_max=True
    ),
)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@never_cache
def spend_plan(request: HttpRequest, slug: str) -> HttpResponse:
    """A POST draws the plan that was written; with `sure`, it is kept."""
    line, now = staff_enrollment_in(request.user, slug), timezone.now()
    course, may_edit = line.course, line.role == Role.INSTRUCTOR
    if request.method == "POST" and not may_edit:
        raise Http404
    found = Spending(course, PeriodForm(None, course=course, now=now).period(), now)
    initial = [{"day": day, "usd": usd.quantize(Decimal("0.01"))} for day, usd in found.plan]
    data = request.POST if request.method == "POST" else None
    rows = PlanFormSet(data, initial=initial, course=course, amount_usd=found.figures.total_usd)
    is_good = rows.is_bound and rows.is_valid() and not any(rows.errors)
    if is_good and request.POST.get("sure") == "yes":
        _keep(request, course, rows.points)
        return redirect("spend_plan", slug)
    shown = found.against(rows.points if is_good else found.plan)
    context = {
        "now": now,
        "course": course,
        "breakdowns": BREAKDOWNS,
        "may_edit": may_edit,
        "rows": rows,
        "is_preview": is_good,
        "is_even": not (rows.points if is_good else found.plan),
        "amount_usd": found.figures.total_usd,
        "milestones": course.milestones.order_by("due_on", "pk"),
        "burn": burn_chart(shown),
        "burn_rows": burn_table(shown),
        "burn_words": burn_words(shown),
    }
    return render(request, "staff/spend/plan.html", context, status=422 if rows.is_bound and not is_good else 200)


def _keep(request: HttpRequest, course: Course, points: list[tuple[date, Decimal]]) -> None:
    set_plan(course, points)
    audit.note("plan_changed", kind=Kind.DECISION, who=person(request), course=course, address=address_of(request),
               facts={"points": len(points)}, now=timezone.now())  # fmt: skip
    said = _("Kept: the forecast and the alarm on the day’s pace hold the course against it.")
    messages.success(request, said if points else _("Kept: the budget is planned evenly over the course."))
