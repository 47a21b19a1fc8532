"""The door of last resort: a code by mail, for addresses that a roster names. Off unless LAMPLIGHTER_EMAIL_CODES is on.

Whoever asks reads the same, whether the address is known or not.
"""

from allauth.account import views
from allauth.account.forms import RequestLoginCodeForm
from django.conf import settings
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache

from courses.services import person_for_code


class CodeForm(RequestLoginCodeForm):
    def clean_email(self) -> str:
        address: str = super().clean_email().lower()  # counts the attempt first
        self._user = person_for_code(address)
        return address


@never_cache
def ask(request: HttpRequest) -> HttpResponseBase:
    _switched_on()
    answer: HttpResponseBase = views.request_login_code(request)
    return answer


@never_cache
def confirm(request: HttpRequest) -> HttpResponseBase:
    _switched_on()
    answer: HttpResponseBase = views.confirm_login_code(request)
    return answer


def _switched_on() -> None:
    if not settings.ACCOUNT_LOGIN_BY_CODE_ENABLED:
        raise Http404
