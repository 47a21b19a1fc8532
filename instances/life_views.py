"""Doors of a machine's further life: restart, another preset, copies of its disk, restore; the staff's disks page."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from django.contrib import messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from courses.access import enrollment_in, staff_enrollment_in
from courses.doors import person, signed_in
from courses.models import User
from instances import moving_on, services, snapshots, tasks
from instances.access import own_machine_of
from instances.books import HOURS_PER_MONTH
from instances.disk_rules import COSTS, Standing
from instances.dispatch import send_after_commit
from instances.forms_disks import DiskPolicyForm
from instances.models import DiskPolicy, DiskSnapshot, Instance, Preset
from instances.quotes import quotes_for
from instances.refusals import LaunchRefused
from instances.resizing import request_resize
from instances.restarting import request_restart
from instances.restoring import request_restore
from instances.states import ENDED
from instances.views import confirm_page
from spend.services import BudgetRefused

GET_OR_POST = ["GET", "HEAD", "POST"]


@require_POST
@signed_in
def restart(request: HttpRequest, slug: str) -> HttpResponse:
    found = own_machine_of(person(request), slug)
    if request_restart(found, who=person(request), now=timezone.now()):
        send_after_commit(tasks.restart, found.pk)
        messages.success(request, _("%(name)s restarts. Its files stay.") % {"name": found.preset.name})
    else:
        messages.error(request, _("Only a machine that runs can be restarted."))
    return redirect("machine", slug)


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def resize(request: HttpRequest, slug: str) -> HttpResponse:
    """The other presets, each with its price; one click makes the stopped machine one of them."""
    found = own_machine_of(person(request), slug)
    others = found.course.presets.filter(enabled=True, market=found.preset.market).exclude(pk=found.preset_id)
    return _another_kind(request, found, "resize", others, _resized)


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def elsewhere(request: HttpRequest, slug: str) -> HttpResponse:
    """Every preset of the course with its price; one click, and the work goes on there, by itself."""
    found = own_machine_of(person(request), slug)
    return _another_kind(request, found, "elsewhere", found.course.presets.filter(enabled=True), _moved_on)


Choose = Callable[[Instance, Preset, User, datetime], str]  # what the click does; a sentence for the person


def _another_kind(
    request: HttpRequest, machine: Instance, name: str, presets: QuerySet[Preset], choose: Choose
) -> HttpResponse:
    now, refused = timezone.now(), ""
    if request.method == "POST":
        try:
            preset = _preset(machine, request.POST.get("preset", ""))
            said = choose(machine, preset, person(request), now)
        except (LaunchRefused, BudgetRefused) as error:
            refused = str(error)
        else:
            messages.success(request, said % {"name": preset.name})
            return redirect("machine", machine.slug)
    context = {"machine": machine, "quotes": quotes_for(machine.owner, presets, now), "refused": refused, "now": now}
    return render(request, f"machine/{name}.html", context, status=409 if refused else 200)


def _resized(machine: Instance, preset: Preset, who: User, now: datetime) -> str:
    request_resize(machine, preset, who=who, now=now)
    return _("It is a %(name)s from its next start on.")


def _moved_on(machine: Instance, preset: Preset, who: User, now: datetime) -> str:
    made = moving_on.request_move_on(machine, preset, who=who, now=now)
    send_after_commit(tasks.take_snapshot, made.pk)
    return _("Its disk is copied; then your work goes on as a %(name)s, by itself. A mail tells you.")


def _preset(machine: Instance, slug: str) -> Preset:
    """Raises LaunchRefused."""
    preset = Preset.objects.filter(course=machine.course, slug=slug).first()
    if preset is None:
        raise LaunchRefused(_("This preset does not exist. Choose one of those below."))
    return preset


# ------------------------------------------------------------------ copies of disks
@require_POST
@signed_in
def copy(request: HttpRequest, slug: str) -> HttpResponse:
    found = own_machine_of(person(request), slug)
    try:
        made = snapshots.request_snapshot(found, why=DiskSnapshot.Why.ASKED, who=person(request), now=timezone.now())
    except (LaunchRefused, BudgetRefused) as error:
        messages.error(request, str(error))
    else:
        send_after_commit(tasks.take_snapshot, made.pk)
        messages.success(request, _("A copy of the disk is being made."))
    return redirect("machine", slug)


@require_POST
@signed_in
def terminate(request: HttpRequest, slug: str) -> HttpResponse:
    """For good, or with a copy of the disk that stays."""
    found = own_machine_of(person(request), slug)
    if request.POST.get("disk") == "copy":
        done = _keep_copy_and_delete(request, found)
        return redirect("machine", slug) if not done else redirect("course_home", found.course.slug)
    with transaction.atomic():
        done = services.request_terminate(found, who=person(request), now=timezone.now())
        moving_on.call_off(found)  # after it: the machine is locked before its copies, as everywhere
    if done:
        send_after_commit(tasks.terminate, [found.pk])
        messages.success(request, _("%(name)s and its disk are being deleted.") % {"name": found.preset.name})
    return redirect("course_home", found.course.slug)


def _keep_copy_and_delete(request: HttpRequest, machine: Instance) -> bool:
    """The other choice of "delete": False, with the reason said, when no copy can be made; then nothing is deleted."""
    try:
        with transaction.atomic():
            why, now = DiskSnapshot.Why.KEPT, timezone.now()
            made = snapshots.request_archive(machine, why=why, who=person(request), now=now)
            moving_on.call_off(machine)
    except (LaunchRefused, BudgetRefused) as error:
        messages.error(request, str(error))
        return False
    send_after_commit(tasks.stop, [machine.pk])
    send_after_commit(tasks.take_snapshot, made.pk)
    messages.success(request, _("Its disk is copied; when the copy is complete, machine and disk are deleted."))
    return True


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def restore(request: HttpRequest, slug: str, copy_id: int) -> HttpResponse:
    """What a new machine from this copy costs, and the button; of its old preset, or of any other that is offered."""
    enrollment, now = enrollment_in(request.user, slug), timezone.now()
    found = get_object_or_404(DiskSnapshot.objects.select_related("instance__preset"), owner=enrollment, pk=copy_id)
    preset, refused = found.instance.preset, ""
    try:
        preset = _preset(found.instance, request.POST.get("preset") or request.GET.get("preset") or preset.slug)
        if request.method == "POST":
            machine = request_restore(found, preset, who=person(request), now=now)
            send_after_commit(tasks.launch, machine.pk)
            return redirect("machine", machine.slug)
    except (LaunchRefused, BudgetRefused) as error:
        refused = str(error)
    preset.disk_gb = max(preset.disk_gb, found.instance.disk_gb)  # its files must fit
    others = quotes_for(enrollment, enrollment.course.presets.filter(enabled=True).exclude(pk=preset.pk), now)
    offered = [quote for quote in others if not quote.refusal]
    return confirm_page(request, enrollment, preset, now, refused=refused, copy=found, others=offered)


@require_POST
@signed_in
def copy_delete(request: HttpRequest, slug: str, copy_id: int) -> HttpResponse:
    enrollment = enrollment_in(request.user, slug)
    found = get_object_or_404(DiskSnapshot.objects.select_related("instance"), owner=enrollment, pk=copy_id)
    if snapshots.is_needed(found):
        text = _("A new machine is to begin with this copy: it can be deleted when that runs, or was called off.")
        messages.error(request, text)
    elif snapshots.request_delete(found, who=person(request), now=timezone.now()):
        send_after_commit(tasks.delete_snapshot, found.pk)
        messages.success(request, _("The copy is being deleted; what is held for it comes back."))
    return redirect("course_home", slug)


# ------------------------------------------------------------------ staff
@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def disks_desk(request: HttpRequest, slug: str) -> HttpResponse:
    """Every disk and copy of the course with what it costs, and what the course does with them by itself."""
    course = staff_enrollment_in(request.user, slug).course
    policy = DiskPolicy.of(course)
    form = DiskPolicyForm(request.POST if request.method == "POST" else None, instance=policy)
    if form.is_bound and form.is_valid():
        form.save()
        messages.success(request, _("Saved. It holds from the next round on."))
        return redirect("disks_desk", slug)
    disks = Instance.objects.filter(course=course, disk_since__isnull=False).exclude(state__in=ENDED)
    copies = DiskSnapshot.objects.filter(course=course, standing__in=COSTS | {Standing.WANTED})
    context = {
        "now": timezone.now(),
        "course": course,
        "form": form,
        "disks": (shown := list(disks.select_related("owner", "preset").order_by("owner__name", "pk"))),
        "copies": (kept := list(copies.select_related("owner", "instance").order_by("owner__name", "wanted_at"))),
        "disks_usd_month": sum((one.disk_usd_hour for one in shown), Decimal(0)) * HOURS_PER_MONTH,
        "copies_usd_month": sum((one.usd_hour for one in kept), Decimal(0)) * HOURS_PER_MONTH,
    }
    return render(request, "staff/disks.html", context, status=422 if form.errors else 200)
