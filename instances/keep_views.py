"""Doors around a machine's end: the link in a mail that keeps it on, and "stop when this ends"."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from courses.doors import person, signed_in
from instances import keep_links, services
from instances.access import own_machine_of
from instances.awaiting import AwaitRefused, await_end
from instances.cards import card_of
from instances.refusals import KeepRefused
from instances.views import hours_of


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def keep_link(request: HttpRequest, token: str) -> HttpResponse:
    """Without a sign-in. Looking does nothing, as mail programs look at every link; the button on the page acts."""
    found, now = keep_links.machine_of(token), timezone.now()
    if found.machine is None or found.over:
        return render(
            request, "machine/keep_link.html", {"now": now, "over": found.over}, status=410 if found.over else 404
        )
    machine, kept, refused = found.machine, None, ""
    if request.method == "POST":
        try:
            kept = services.keep_alive(machine, hours=hours_of(request), who=None, now=now, by_link=True)
        except KeepRefused as error:
            refused = str(error)
        else:
            machine.refresh_from_db()
    context = {"now": now, "machine": machine, "card": card_of(machine, now), "kept": kept, "refused": refused}
    return render(request, "machine/keep_link.html", context, status=409 if refused else 200)


@require_POST
@signed_in
def await_task(request: HttpRequest, slug: str) -> HttpResponse:
    """Stop the machine when what was chosen has ended; an empty choice: not any more."""
    machine = own_machine_of(person(request), slug)
    try:
        await_end(machine, request.POST.get("task", "")[:60], who=person(request), now=timezone.now())
    except AwaitRefused as error:
        messages.error(request, str(error))
    else:
        words = (
            _("It stops when this ends: %(name)s.") % machine.awaited if machine.awaited else _("It waits for nothing.")
        )
        messages.success(request, words)
    return redirect("machine", slug)
