"""The portal's way into a notebook: checks the owner, waits for the machine, hands over to its host."""

import re

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from courses.doors import person, signed_in
from instances import grants, homework
from instances.access import own_machine_of
from instances.called_off import unanswered
from instances.gateway.headers import local_path
from instances.gateway.place import entry_url, origin_of
from instances.models import Instance
from instances.queue_rules import WaitsFor
from instances.queueing import waiting_words
from instances.reaching import notebook_at
from instances.standing import waits
from instances.states import LIVE, State

_STATE = re.compile("[0-9a-f]{64}")


@require_GET
@never_cache
@signed_in
def notebook(request: HttpRequest, slug: str) -> HttpResponse:
    """Owner only, not even staff: a student's files are theirs. Waits on a page of its own until the machine runs.

    Then to the notebook's host; a browser that has no grant there comes back with a `state` and gets a ticket.
    """
    user = person(request)
    machine = own_machine_of(user, slug)
    # Not before AWS's own timer stands: whoever is in has root, and may take all other guards out.
    ready = (
        machine.state == State.RUNNING
        and bool(notebook_at(machine, timezone.now()))
        and machine.guard_until is not None
    )
    if "HX-Request" in request.headers:
        return _poll(ready or request.GET.get("shown") != _shown(machine))
    if not ready:
        return _waiting_page(request, machine)
    path, state = local_path(request.GET.get("path", "")), request.GET.get("state", "")
    if not homework.may_open(machine.course, path):
        why = _("It would make your machine pull what no homework link of your course asks for. Nothing was pulled.")
        context = {"course": machine.course, "why": why, "now": timezone.now()}
        return render(request, "machine/bad_link.html", context, status=422)
    if not _STATE.fullmatch(state):
        return redirect(origin_of(slug) + path)
    ticket = grants.make_ticket(
        machine,
        user=user,
        session_key=request.session.session_key or "",
        state=state,
        path=path,
        now=timezone.now(),
    )
    return redirect(entry_url(slug, ticket))


def _waiting_page(request: HttpRequest, machine: Instance) -> HttpResponse:
    context = {
        "machine": machine,
        "state": machine.state,
        "shown": _shown(machine),
        "queue_words": waiting_words(
            WaitsFor(machine.queued_for or WaitsFor.CAPACITY), spot=machine.spot, tries=machine.queue_tries
        ),
        "moving": machine.state in LIVE,
        "now": timezone.now(),
    }
    return render(request, "gateway/portal_waiting.html", context)


def _shown(machine: Instance) -> str:
    """What the waiting page says now. In the queue it says the same while AWS is asked again."""
    return "queue" if waits(machine) else "called-off" if unanswered(machine) else machine.state


def _poll(changed: bool) -> HttpResponse:
    """The waiting page asks each second: nothing new, or open the whole page again."""
    return HttpResponse(headers={"HX-Refresh": "true"}) if changed else HttpResponse(status=204)
