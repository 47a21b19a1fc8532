"""Doors of the machines: launch, look, keep, stop, start, delete. Each finds through `access`, then says one verb."""

from datetime import datetime
from decimal import Decimal

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from courses.access import enrollment_in
from courses.doors import person, signed_in
from courses.models import STAFF_ROLES, Enrollment
from courses.noting import note_look
from instances import approvals, homes, leaving, services, ssh_access, tasks
from instances.access import machine_of, own_machine_of
from instances.awaiting import awaitables
from instances.books import HOURS_PER_MONTH, life_usd
from instances.called_off import unanswered
from instances.cards import Card, card_of, viewer_clock
from instances.disk_books import snapshot_usd_hour
from instances.dispatch import send_after_commit
from instances.ends import waits_for
from instances.event_records import readable
from instances.models import Instance, Preset
from instances.moving_on import moves_on
from instances.queries import copies_of, newest_of
from instances.quotes import Quote, quotes_for
from instances.reach import Reach, reaches
from instances.refusals import LaunchRefused
from instances.standing import standing_of
from instances.states import ENDED, State
from instances.steps import ready_after, settled, steps
from instances.strips import strip_of
from instances.wrong_calls import questionable
from spend.budget import BudgetLine
from spend.models import Level
from spend.reports import OwnMoney, own_money
from spend.services import BudgetRefused

NEWEST_EVENTS = 50
_ON_THE_WAY = (State.REQUESTED, State.LAUNCHING, State.RUNNING)
FAST_SECONDS, SLOW_SECONDS = 1, 10


# ------------------------------------------------------------------ launch
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@never_cache
def launch(request: HttpRequest, slug: str, preset_slug: str) -> HttpResponse:
    """GET: what it costs. POST: the machine, or the same page with the reason why not."""
    enrollment, now = enrollment_in(request.user, slug), timezone.now()
    preset = get_object_or_404(Preset, course=enrollment.course, slug=preset_slug)
    refused = ""
    if request.method == "POST":
        try:
            machine = services.request_launch(enrollment, preset, who=person(request), now=now)
        except (LaunchRefused, BudgetRefused) as error:
            refused = str(error)
        else:
            send_after_commit(tasks.launch, machine.pk)
            return redirect("machine", machine.slug)
    return confirm_page(request, enrollment, preset, now, refused=refused, mine=newest_of(enrollment, preset))


def confirm_page(
    request: HttpRequest, enrollment: Enrollment, preset: Preset, now: datetime, *, refused: str, **more: object
) -> HttpResponse:
    """What a launch costs, and the button; `refused`: why the last click did not do it."""
    [quote] = quotes_for(enrollment, [preset], now)
    context = _confirm(enrollment, quote, own_money(enrollment, now=now))
    context |= {"refused": refused, **more}
    return render(request, "machine/confirm.html", context, status=409 if refused else 200)


def _confirm(enrollment: Enrollment, quote: Quote, money: OwnMoney | None) -> dict[str, object]:
    return {
        "course": enrollment.course,
        "quote": quote,
        "approval": approvals.latest(enrollment, quote.preset) if quote.needs_approval else None,
        "money": money,
        "enough": money is not None and money.tightest.left_usd >= quote.total_usd,
        "after": [_after(line, quote.total_usd) for line in _told(money)] if money else [],
    }


def _told(money: OwnMoney) -> list[BudgetLine]:
    """Who pays is not the student's business, unless that is where the money ends."""
    return [line for line in money.path if line.level != Level.SPONSOR or line is money.tightest]


def _after(line: BudgetLine, usd: Decimal) -> BudgetLine:
    """The budget as it would stand after the launch."""
    return BudgetLine(line.level, line.name, line.amount_usd, line.spent_usd, line.held_usd + usd)


# ------------------------------------------------------------------ look
@require_safe
@signed_in
@never_cache
def machine(request: HttpRequest, slug: str) -> HttpResponse:
    context = _page(request, slug)
    found = context["machine"]
    assert isinstance(found, Instance)  # noqa: S101 - for the type
    note_look(request, "machine_page", found.owner, timezone.now(), machine=found.slug)
    copy_usd_month = snapshot_usd_hour(found.disk_gb) * HOURS_PER_MONTH
    context |= {
        "ssh": ssh_access.line_for(found),
        "copies": copies_of(found.owner, found),
        "copy_usd_month": copy_usd_month,
    }
    return render(request, "machine/page.html", context)


@require_safe
@signed_in
@never_cache
def machine_live(request: HttpRequest, slug: str) -> HttpResponse:
    """The part that changes, for a page that is open."""
    return render(request, "machine/_live.html", _page(request, slug))


def _page(request: HttpRequest, slug: str) -> dict[str, object]:
    found, now = machine_of(person(request), slug), timezone.now()
    card = card_of(found, now)
    is_owner = found.owner.user_id == request.user.pk
    is_staff = not is_owner or found.owner.role in STAFF_ROLES  # `machine_of` lets in nobody else
    told = readable(found.events.select_related("who"), staff=is_staff)
    events = list(told.order_by("-at", "-pk")[:NEWEST_EVENTS])
    way = steps(found, events[::-1])
    standing = standing_of(found, now)
    return {
        "now": now,
        "machine": found,
        "card": card,
        "is_owner": is_owner,
        "is_staff": is_staff,
        "events": events,
        "steps": way,
        "show_steps": (found.state in _ON_THE_WAY and not settled(way)) or found.state == State.FAILED,
        "ready_after": ready_after(way) if found.state == State.RUNNING else None,
        "strip": strip_of(found, now),
        "wrong": is_owner and questionable(found),
        "saved_usd": card.saved_usd(now),
        "life_usd": life_usd(found, now),
        "awaitables": awaitables(found) if card.is_running else [],
        "waits": waits_for(found),
        "reaches": _reaches(found, now) if card.is_running else [],
        "standing": standing,
        "moves_on": (going := moves_on(found) if card.can_start else None),
        "refresh_seconds": SLOW_SECONDS if standing or going else _pace(card, settled(way)),
        **(homes.page_of(found, now) if is_owner else {}),
    }


def _reaches(machine: Instance, now: datetime) -> list[Reach]:
    money = own_money(machine.owner, now=now)
    return reaches(machine, money.path) if money else []


def _pace(card: Card, is_settled: bool) -> int:
    """How often an open page asks again; 0: never, for nothing will change by itself."""
    if card.is_moving or card.machine.leaving_at or (card.is_running and not is_settled):
        return FAST_SECONDS
    return SLOW_SECONDS if card.is_running else 0


# ------------------------------------------------------------------ change
@require_POST
@signed_in
def stop(request: HttpRequest, slug: str) -> HttpResponse:
    """By its owner, or by staff of its course. What is stopped already is not an error."""
    found = machine_of(person(request), slug)
    is_owner = found.owner.user_id == request.user.pk
    reason = _("Stopped by its owner") if is_owner else _("Stopped by the course staff")
    waits = found.state == State.REQUESTED and found.queued_at is not None
    if waits and is_owner:
        reason = _("Left the queue. Nothing was charged.")
    until = leaving.leave(found, reason=reason, who=person(request), now=timezone.now(), mail=not is_owner)
    if until:
        text = _("%(name)s saves first and stops by %(time)s at the latest. Press “Stop” again to stop it at once.")
        values = {"name": found.preset.name, "time": viewer_clock(until, timezone.now())}
        messages.success(request, text % values)
    elif services.request_stop(found, reason=reason, who=person(request), now=timezone.now(), mail=not is_owner):
        send_after_commit(tasks.stop, [found.pk])
        messages.success(request, _stopped_words(found, waits) % {"name": found.preset.name})
    return _back(request, slug)


def _stopped_words(machine: Instance, waited: bool) -> str:
    """What the click on "stop" has done: there may be no machine at all."""
    if waited:
        return _("“%(name)s” is out of the queue. What was set aside is free again.")
    if machine.state in ENDED:
        return _("%(name)s is not launched. What was set aside is free again.")
    if unanswered(machine):
        return _("%(name)s is called off. If AWS has made a machine already, it is stopped at once.")
    return _("%(name)s is stopping. Its disk stays.")


@require_POST
@signed_in
def start(request: HttpRequest, slug: str) -> HttpResponse:
    found = own_machine_of(person(request), slug)
    try:
        services.request_start(found, who=person(request), now=timezone.now())
    except (LaunchRefused, BudgetRefused) as error:
        messages.error(request, str(error))
    else:
        send_after_commit(tasks.start, found.pk)
    return _back(request, slug)


def _back(request: HttpRequest, slug: str) -> HttpResponse:
    """To the page that the click was on, when it said so and is ours; else to the machine."""
    wanted = request.POST.get("next", "")
    # A bare word would be looked up as the name of a page, and fail.
    ours = wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)
    return redirect(wanted if ours else reverse("machine", args=[slug]))


@require_POST
@signed_in
def keep(request: HttpRequest, slug: str) -> HttpResponse:
    found, now = own_machine_of(person(request), slug), timezone.now()
    try:
        services.keep_alive(found, hours=hours_of(request), who=person(request), now=now)
    except (LaunchRefused, BudgetRefused) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("%(name)s stays on, used or not.") % {"name": found.preset.name})
    return redirect("machine", slug)


def hours_of(request: HttpRequest) -> float:
    """Not a number: 0, which is refused with the words for it."""
    try:
        return float(request.POST.get("hours", ""))
    except ValueError:
        return 0.0
