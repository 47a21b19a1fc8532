"""What the doors of every app share: who asks, and from where. Finds nobody and nothing: that is `access.py`."""

import ipaddress
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from courses.models import User

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def signed_in(view: View[P]) -> View[P]:
    """Sends a signed-out person to sign in and back again. A live fragment gets 401 instead: following the redirect,
    it would draw the sign-in page into the middle of a course page."""
    page = login_required(view)

    @wraps(view)
    def door(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if "HX-Request" in request.headers and not request.user.is_authenticated:
            return HttpResponse(status=401)
        answer: HttpResponseBase = page(request, *args, **kwargs)
        return answer

    return door


def person(request: HttpRequest) -> User:
    """The one who is signed in; only behind `signed_in`."""
    assert isinstance(request.user, User)  # noqa: S101 - for the type: the decorator has seen to it
    return request.user


def number_in(text: str) -> int | None:
    """A key or a count as a form or an address says it; None for what is none, or larger than any row's."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def address_of(request: HttpRequest) -> str | None:
    """Where the person sits, for rows that say from where something was done.

    Behind our own proxy the connection's address is the proxy's; what it says is the last entry, which it wrote itself.
    """
    told = request.META.get("REMOTE_ADDR", "")
    if settings.BEHIND_TLS:
        told = request.headers.get("X-Forwarded-For", told).rpartition(",")[2].strip()
    try:
        return str(ipaddress.ip_address(told))
    except ValueError:
        return None
