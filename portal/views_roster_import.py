"""Doors of a roster's coming in: upload or paste, say which column is what, look at what would change, confirm."""

from dataclasses import dataclass

from django.contrib import messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from courses import roster_columns, tables
from courses.access import staff_enrollment_in
from courses.doors import number_in, person, signed_in
from courses.models import Course, Enrollment, Role
from courses.roster import Columns
from courses.roster_columns import format_of, headings_of
from courses.roster_diff import Diff
from courses.roster_profiles import recall
from courses.tables import Table
from credits import drafts
from credits.drafts import ImportDraft
from instances.models import Instance
from instances.states import LIVE
from portal import people
from portal.forms_roster import ColumnsForm, RosterListForm
from portal.views_roster import after_closing

GET_OR_POST = ["GET", "HEAD", "POST"]
KIND = ImportDraft.Kind.ROSTER


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
@sensitive_post_parameters()
@sensitive_variables()
def roster_import(request: HttpRequest, slug: str) -> HttpResponse:
    """First step: the list."""
    course = staff_enrollment_in(request.user, slug).course
    form = RosterListForm(request.POST, request.FILES) if request.method == "POST" else RosterListForm()
    if form.is_bound and form.is_valid():
        draft = drafts.keep(course, form.content, who=person(request), now=timezone.now(), kind=KIND)
        return redirect("roster_import_map", slug, draft.pk)
    return render(request, "people/import.html", {"course": course, "form": form}, status=422 if form.errors else 200)


@dataclass(frozen=True, slots=True)
class Wizard:
    table: Table
    form: ColumnsForm
    columns: Columns  # as chosen, or as guessed while the choice is wrong
    remembered: bool
    source: str  # what made the file, if it tells


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
@sensitive_variables("wizard")
def roster_import_map(request: HttpRequest, slug: str, draft_id: int) -> HttpResponse:
    """Second step: columns, what would change, who is not in the file; a POST with `confirm` does it."""
    me = staff_enrollment_in(request.user, slug)
    draft = _drafts(me.course, request).filter(pk=draft_id).first()
    if draft is None:
        messages.info(request, _("That list is no longer kept. Upload it again."))
        return redirect("roster_import", slug)
    wizard = _wizard(me, draft, request)
    if "confirm" in request.POST and not wizard.form.errors:
        return _confirm(request, me, draft, wizard)
    diff = people.preview(me.course, wizard.table, wizard.columns, me.role)
    context = {
        "now": timezone.now(),
        "course": me.course,
        "draft": draft,
        "wizard": wizard,
        "diff": diff,
        "running": _running(diff),
        "all_gone": len(diff.gone) > 2 * (diff.same + len(diff.changed)),
    }
    return render(request, "people/import_map.html", context, status=422 if wizard.form.errors else 200)


@require_POST
@signed_in
def roster_import_drop(request: HttpRequest, slug: str, draft_id: int) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    get_object_or_404(_drafts(course, request), pk=draft_id).delete()
    messages.info(request, _("Nothing was changed, and the list is forgotten."))
    return redirect("roster", slug)


def _drafts(course: Course, request: HttpRequest) -> QuerySet[ImportDraft]:
    return ImportDraft.objects.filter(course=course, who=person(request), kind=KIND)


def _wizard(me: Enrollment, draft: ImportDraft, request: HttpRequest) -> Wizard:
    table = tables.read(drafts.content_of(draft))
    known = recall(me.course, table)
    guessed = known or roster_columns.guess(table, me.course.email_domain)
    said = request.POST if request.method == "POST" else None
    form = ColumnsForm(table, guessed, said, may_give_roles=me.role == Role.INSTRUCTOR)
    columns = form.columns() if said and form.is_valid() else guessed
    return Wizard(table, form, columns, known is not None, format_of(headings_of(table)[1]))


def _running(diff: Diff) -> int:
    """How many machines closing all who are not in the file would stop."""
    return Instance.objects.filter(owner__in=[known.pk for known in diff.gone], state__in=LIVE).count()


def _confirm(request: HttpRequest, me: Enrollment, draft: ImportDraft, wizard: Wizard) -> HttpResponse:
    gone = {pk for said in request.POST.getlist("gone") if (pk := number_in(said))}
    who, now = person(request), timezone.now()
    with transaction.atomic():
        done = people.import_roster(me.course, wizard.table, wizard.columns, gone, by=me.role, who=who, now=now)
        draft.delete()
    added, changed, left_out = len(done.diff.added), len(done.diff.changed), len(done.diff.problems)
    words = _("%(added)d added, %(changed)d changed, %(same)d as they were.")
    messages.success(request, words % {"added": added, "changed": changed, "same": done.diff.same})
    if left_out:
        text = ngettext("%(n)d line was left out.", "%(n)d lines were left out.", left_out)
        messages.warning(request, text % {"n": left_out})
    for sentence in done.not_moved:
        messages.warning(request, sentence)
    after_closing(request, me.course, done.left)
    return redirect("roster", me.course.slug)
