"""Doors that only the demo has."""

from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from portal.mailbox import mails


@require_safe
@never_cache
def mailbox(request: HttpRequest) -> HttpResponse:
    """Every mail the demo "sent", to whomever. Outside the demo there is no such page."""
    if not settings.DEMO:
        raise Http404
    return render(request, "demo/mailbox.html", {"mails": mails(Path(settings.EMAIL_FILE_PATH))})
