"""Per-request set-up: the viewer's time zone, and the headers that keep pages from foreign code."""

import zoneinfo
from collections.abc import Callable

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from courses.second_factor import SecondFactorNeeded

GetResponse = Callable[[HttpRequest], HttpResponse]


class ViewerTimezone:
    """Times are shown in the browser's zone: static/js/lamplighter.js keeps the `tz` cookie."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            timezone.activate(zoneinfo.ZoneInfo(request.COOKIES.get("tz", "")))
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            timezone.deactivate()
        return self.get_response(request)


class PlainText:
    """No page of ours sends a NUL and no database takes one: whoever sends it is told so, before a door is opened.

    After the check of the token, which has read the form already.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: object, _args: object, _kwargs: object) -> None:
        if getattr(view, "csrf_exempt", False):
            return
        for said in (request.GET, request.POST):
            if any("\0" in text for name, texts in said.lists() for text in (name, *texts)):
                raise BadRequest("NUL in a form or an address")


class SecondFactor:
    """Whom an access helper asks for a second factor is led to where one is set up, and comes back from there."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, SecondFactorNeeded):
            return None
        if "HX-Request" in request.headers:
            return HttpResponse(status=401)  # the page reloads itself, and is led there
        messages.warning(request, _("Staff pages here need a second factor. Add one below, then open the page again."))
        return redirect("mfa_index")


class ContentSecurityPolicy:
    """Everything comes from our own origin; nothing inline runs."""

    POLICY = (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
        "script-src 'self'; frame-ancestors 'none'; base-uri 'self'; object-src 'none'"
    )

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", self.POLICY)
        return response
