"""The sponsor's door: one page, totals and trends of their courses."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from courses.access import sponsored_courses_of
from courses.doors import signed_in
from portal.spend_charts import bars, burn_words, purposes_in
from portal.sponsoring import Sponsoring
from spend.breakdown import PURPOSE_WORDS


@require_safe
@signed_in
@never_cache
def sponsor(request: HttpRequest) -> HttpResponse:
    found = Sponsoring(sponsored_courses_of(request.user), timezone.now())
    weeks = found.weeks
    context = {
        "now": found.now,
        "found": found,
        "weeks": weeks,
        "lines": [(line, burn_words(line.burndown)) for line in found.lines],
        "purposes": [(purpose.value, PURPOSE_WORDS[purpose]) for purpose in purposes_in(row.cost for row in weeks)],
        "chart": bars(weeks, None, title=_("Spend by week")),
    }
    return render(request, "sponsor/page.html", context)
