"""The sign-in page: one button for each door that is switched on. There is no form for a password."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@require_safe
@never_cache
def sign_in(request: HttpRequest) -> HttpResponse:
    """`?next=` is where to go on to, when it is ours."""
    after = request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(after, {request.get_host()}, require_https=request.is_secure()):
        after = ""
    if request.user.is_authenticated:
        return redirect(after or settings.LOGIN_REDIRECT_URL)
    return render(request, "account/login.html", {"after": after})
