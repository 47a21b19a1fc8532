"""Doors of the stock's coming in: upload or paste, look at what would happen, confirm. No page shows a whole code."""

from dataclasses import dataclass

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from courses import tables
from courses.access import staff_enrollment_in
from courses.doors import number_in, person, signed_in
from courses.models import Course, User
from courses.tables import Table
from credits import batches, drafts, imports
from credits.drafts import ImportDraft
from credits.forms import BatchForm
from credits.forms_import import CodeListForm, MappingForm, TargetForm
from credits.imports import Mapping
from credits.models import CodeBatch
from credits.open_work import open_work
from credits.stock import Added

GET_OR_POST = ["GET", "HEAD", "POST"]


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
@sensitive_post_parameters()
@sensitive_variables()
def import_codes(request: HttpRequest, slug: str) -> HttpResponse:
    """First step: the list. `?batch=` names the batch that it is for."""
    course = staff_enrollment_in(request.user, slug).course
    form = CodeListForm(request.POST, request.FILES) if request.method == "POST" else CodeListForm()
    if form.is_bound and form.is_valid():
        draft = drafts.keep(course, form.content, who=person(request), now=timezone.now())
        return redirect(_step_two(course, draft, request.GET.get("batch", "")))
    context = {"course": course, "form": form, "batch": request.GET.get("batch", ""), "work": open_work(course)}
    return render(request, "credits/desk/import.html", context, status=422 if form.errors else 200)


def _step_two(course: Course, draft: ImportDraft, batch: str) -> str:
    url = reverse("credits_import_map", args=[course.slug, draft.pk])
    return f"{url}?batch={pk}" if (pk := number_in(batch)) else url


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
@sensitive_variables("table")
def import_map(request: HttpRequest, slug: str, draft_id: int) -> HttpResponse:
    """Second step: which column, which batch, what would happen; a POST with `confirm` does it."""
    course = staff_enrollment_in(request.user, slug).course
    draft = ImportDraft.objects.filter(
        pk=draft_id, course=course, who=person(request), kind=ImportDraft.Kind.CODES
    ).first()
    if draft is None:
        # Confirmed in another tab, or an hour has passed: the list is gone, and that is no error of theirs.
        messages.info(request, _("That list is no longer kept. Upload it again."))
        return redirect("credits_import", slug)
    table = tables.read(drafts.content_of(draft))
    wizard = _wizard(course, table, request.POST if request.method == "POST" else None, request.GET.get("batch", ""))
    done = _confirm(course, draft, wizard, person(request)) if "confirm" in request.POST else None
    if done:
        _tell(request, *done)
        return redirect("credits_batch", slug, done[0].pk)
    context = {"now": timezone.now(), "course": course, "draft": draft, "wizard": wizard, "added": wizard.preview}
    status = 422 if wizard.has_errors else 200
    return render(request, "credits/desk/import_map.html", {**context, "work": open_work(course)}, status=status)


@require_POST
@signed_in
def import_drop(request: HttpRequest, slug: str, draft_id: int) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    get_object_or_404(
        ImportDraft, pk=draft_id, course=course, who=person(request), kind=ImportDraft.Kind.CODES
    ).delete()
    messages.info(request, _("Nothing was added, and the list is forgotten."))
    return redirect("credits_desk", slug)


@dataclass(slots=True)
class Wizard:
    """The three questions of the second step."""

    table: Table
    mapping: MappingForm
    target: TargetForm
    facts: BatchForm
    chosen: Mapping

    def is_valid(self) -> bool:
        """Each field says what is wrong with it."""
        said = [self.mapping.is_valid(), self.target.is_valid()]
        if said[1] and self.target.batch() is None:
            said.append(self.facts.is_valid())
        return all(said)

    @property
    def preview(self) -> Added:
        """Asked for by the page alone: of a long list it takes as long as the confirmation itself."""
        return imports.preview(self.table, self.chosen)

    @property
    def has_errors(self) -> bool:
        return any(form.is_bound and bool(form.errors) for form in (self.mapping, self.target, self.facts))


def _wizard(course: Course, table: Table, said: QueryDict | None, batch: str) -> Wizard:
    """Looking again at another column must not complain about what is not filled in yet: then nothing is bound."""
    confirmed = said if said and "confirm" in said else None
    guessed = imports.guess(table)
    mapping = MappingForm(table, said or None, initial={"column": guessed.column, "has_heading": guessed.has_heading})
    chosen = mapping.mapping() if said and mapping.is_valid() else guessed
    typed = said.dict() if said else {"target": batch}
    return Wizard(
        table=table,
        mapping=mapping,
        target=TargetForm(course, confirmed, initial=typed),
        facts=BatchForm(confirmed, initial=typed if said else None),
        chosen=chosen,
    )


class _NothingNew(Exception):
    """Undoes what was begun."""


def _confirm(course: Course, draft: ImportDraft, wizard: Wizard, who: User) -> tuple[CodeBatch, Added] | None:
    """Batch and codes come together or not at all; the list is forgotten with them.

    None: something is still to be said, or no code is new, and a list without one makes no batch.
    """
    if not wizard.is_valid():
        return None
    now = timezone.now()
    try:
        with transaction.atomic():
            batch = wizard.target.batch() or batches.create_batch(course, wizard.facts.facts(), who=who, now=now)
            added = imports.confirm(batch, wizard.table, wizard.chosen, who=who, now=now)
            if not added.new:
                raise _NothingNew
            draft.delete()
    except _NothingNew:
        return None
    return batch, added


def _tell(request: HttpRequest, batch: CodeBatch, added: Added) -> None:
    n = len(added.new)
    text = ngettext("%(n)d code came into “%(batch)s”.", "%(n)d codes came into “%(batch)s”.", n)
    messages.success(request, text % {"n": n, "batch": batch.name})
    left = len(added.known) + len(added.problems)
    if left:
        words = ngettext("%(n)d line was left out.", "%(n)d lines were left out.", left) % {"n": left}
        messages.info(request, words)
