"""Doors of a student's files: pack them, fetch them, delete them before their time. For their owner alone."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from cloud.backends import files
from courses.doors import address_of, person, signed_in
from instances import homes, tasks
from instances.access import own_home_of, own_machine_of
from instances.dispatch import send_after_commit
from instances.home_records import HomeArchive
from instances.refusals import LaunchRefused
from instances.states import State
from spend.services import BudgetRefused

LINK_SECONDS = 300  # for a browser to begin in; a download that has begun goes on


@require_POST
@signed_in
def pack(request: HttpRequest, slug: str) -> HttpResponse:
    """Of a stopped machine: it is started for that alone."""
    found, who, now = own_machine_of(person(request), slug), person(request), timezone.now()
    is_stopped = found.state == State.STOPPED
    try:
        made = (homes.start_and_pack if is_stopped else homes.request_home)(found, who=who, now=now)
    except (LaunchRefused, BudgetRefused) as refused:
        messages.error(request, str(refused))
    else:
        if is_stopped:
            send_after_commit(tasks.start, found.pk)
        send_after_commit(tasks.home_step, made.pk)
        messages.success(request, _("Your files are being packed. You get a mail when they can be downloaded."))
    return redirect("machine", slug)


@require_POST
@signed_in
@never_cache
def fetch(request: HttpRequest, slug: str, home_id: int) -> HttpResponse:
    """Written down, then led to an address that is good for minutes; nobody else ever sees it."""
    found, bucket = own_home_of(person(request), slug, home_id), files()
    try:
        if bucket is None:
            raise homes.NoDownload(_("Downloads are not set up here any more. Ask the course staff."))
        homes.note_download(found, who=person(request), address=address_of(request), now=timezone.now())
    except homes.NoDownload as refused:
        messages.error(request, str(refused))
        return _back(request, slug)
    response = HttpResponse(status=303)
    response["Location"] = bucket.download_url(found.key, name=_file_name(found), seconds=LINK_SECONDS)
    response["Referrer-Policy"] = "no-referrer"
    return response


@require_POST
@signed_in
def drop(request: HttpRequest, slug: str, home_id: int) -> HttpResponse:
    found = own_home_of(person(request), slug, home_id)
    if homes.call_off(found, who=person(request), now=timezone.now()):
        send_after_commit(tasks.home_step, found.pk)
        messages.success(request, _("Nothing of it is kept."))
    return _back(request, slug)


def _back(request: HttpRequest, slug: str) -> HttpResponse:
    """Whom the course lets in no more came from the page under their name."""
    return redirect("me") if request.POST.get("from") == "me" else redirect("machine", slug)


def _file_name(home: HomeArchive) -> str:
    return f"{home.course.slug}-{home.instance.slug}-{home.asked_at:%Y-%m-%d}.tar.gz"
