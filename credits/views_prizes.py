"""Doors of contests: their ranking, who is behind each name, and the award. Staff only."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from courses.access import staff_enrollment_in
from courses.doors import number_in, person, signed_in
from courses.models import Course
from credits import contests
from credits.contests import ContestRefused
from credits.forms_prizes import BehindForm, ContestForm, RankingForm
from credits.models import Contest, CreditCode
from credits.open_work import open_work
from credits.prospects import prospects

GET_OR_POST = ["GET", "HEAD", "POST"]


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def contest_list(request: HttpRequest, slug: str) -> HttpResponse:
    """All contests; a POST makes a new one."""
    course = staff_enrollment_in(request.user, slug).course
    form = ContestForm(course, request.POST) if request.method == "POST" else ContestForm(course)
    if form.is_bound and form.is_valid():
        made = _create(request, course, form)
        if made:
            return redirect("credits_contest", slug, made.pk)
    context = {
        "now": timezone.now(),
        "course": course,
        "work": open_work(course),
        "form": form,
        "contests": form.with_numbers(),
    }
    return render(request, "credits/desk/contests.html", context, status=422 if form.errors else 200)


def _create(request: HttpRequest, course: Course, form: ContestForm) -> Contest | None:
    said = form.cleaned_data
    pool = form.pools[said["pool"]]
    try:
        return contests.create_contest(
            course, name=said["name"], places=said["places"], pool=pool, who=person(request), now=timezone.now()
        )
    except ContestRefused as refused:
        form.add_error("name", str(refused))
        return None


def _contest_in(request: HttpRequest, slug: str, contest_id: int) -> Contest:
    course = staff_enrollment_in(request.user, slug).course
    return get_object_or_404(Contest.objects.select_related("course", "pool"), pk=contest_id, course=course)


@require_safe
@signed_in
@never_cache
def contest(request: HttpRequest, slug: str, contest_id: int) -> HttpResponse:
    return _page(request, _contest_in(request, slug, contest_id))


def _page(request: HttpRequest, found: Contest, **more: object) -> HttpResponse:
    """`more` holds a form that was refused or is to be confirmed, or the sentence why nothing was awarded."""
    context = {
        "now": timezone.now(),
        "course": found.course,
        "work": open_work(found.course),
        "contest": found,
        "prospects": prospects(found),
        "free": found.pool.codes.filter(status=CreditCode.Status.AVAILABLE).count(),
        "ranking_form": RankingForm(),
        **more,
    }
    refused = "refused" in more or any(getattr(form, "errors", None) for form in more.values())
    return render(request, "credits/desk/contest.html", context, status=422 if refused else 200)


@require_POST
@signed_in
@never_cache
def contest_read(request: HttpRequest, slug: str, contest_id: int) -> HttpResponse:
    """The list is read and each name gets a guess; nothing is written before staff confirm who is who."""
    found = _contest_in(request, slug, contest_id)
    form = RankingForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, found, ranking_form=form)
    guesses = contests.preview(found, form.ranking)
    if not guesses:
        form.add_error("pasted", _("Nobody in this list is within the places of the contest."))
        return _page(request, found, ranking_form=form)
    return _page(request, found, behind_form=BehindForm.of(found.course, guesses))


@require_POST
@signed_in
@never_cache
def contest_enter(request: HttpRequest, slug: str, contest_id: int) -> HttpResponse:
    found = _contest_in(request, slug, contest_id)
    form = BehindForm.said(found.course, request.POST)
    if not form.is_valid():
        return _page(request, found, behind_form=form)
    try:
        places = contests.enter(found, form.ranking, form.behind, who=person(request), now=timezone.now())
    except ContestRefused as refused:
        return _page(request, found, behind_form=form, refused=str(refused))
    text = ngettext("%(n)d place is written down.", "%(n)d places are written down.", len(places))
    messages.success(request, f"{text % {'n': len(places)}} {_('Nothing is awarded yet.')}")
    return redirect("credits_contest", slug, found.pk)


@require_POST
@signed_in
@never_cache
def contest_award(request: HttpRequest, slug: str, contest_id: int) -> HttpResponse:
    found = _contest_in(request, slug, contest_id)
    ids = [pk for said in request.POST.getlist("place") if (pk := number_in(said))]
    chosen = list(found.ranking.filter(pk__in=ids).select_related("team", "enrollment", "contest__pool"))
    if not chosen:
        return _page(request, found, refused=_("Choose at least one place."))
    try:
        outcomes = contests.award_places(found, chosen, who=person(request), now=timezone.now())
    except ContestRefused as refused:
        return _page(request, found, refused=str(refused))
    done = sum(one.is_new for one in outcomes)
    if done:
        text = ngettext("%(n)d prize is awarded.", "%(n)d prizes are awarded.", done) % {"n": done}
        messages.success(request, f"{text} {_('The winners find it on their page and get a mail.')}")
    for one in outcomes:
        if one.refused:
            messages.error(request, f"{one.place.name}: {one.refused}")
    return redirect("credits_contest", slug, found.pk)
