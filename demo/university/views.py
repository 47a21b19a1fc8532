"""The login page, with the demo's people to click on. Asks every time, so that a visitor can change roles."""

import hashlib
import secrets

from allauth.account.models import EmailAddress
from allauth.idp.oidc.views import authorization
from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.core.validators import validate_email
from django.forms import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt

from demo.people import DOMAIN, PASSWORD, PEOPLE


def sign_in(request: HttpRequest) -> HttpResponse:
    after = request.POST.get("next") or request.GET.get("next") or "/"
    if not url_has_allowed_host_and_scheme(after, allowed_hosts=None):
        after = "/"
    said = ""
    if request.method == "POST":
        address = (request.POST.get("person") or request.POST.get("email", "")).strip().lower()
        said = _complaint(address, request.POST.get("password", ""))
        if not said:
            person = _person(address)
            login(request, person, backend="django.contrib.auth.backends.ModelBackend")  # type: ignore[arg-type]
            return HttpResponseRedirect(after)
    context = {"people": PEOPLE, "next": after, "said": said, "password": PASSWORD, "domain": DOMAIN}
    return render(request, "university/sign_in.html", context, status=403 if said else 200)


@csrf_exempt
def authorize(request: HttpRequest) -> HttpResponse:
    """Hands out the code and forgets the person: else the next visitor would come back as the last one."""
    response: HttpResponse = authorization(request)
    if request.user.is_authenticated and response.status_code == 302:
        logout(request)
    return response


def _complaint(address: str, password: str) -> str:
    try:
        validate_email(address)
    except ValidationError:
        return "Please type an e-mail address, or click on a person."
    if not address.endswith(f"@{DOMAIN}"):
        return f"Demo University knows addresses of {DOMAIN} only."
    if not secrets.compare_digest(password.encode(), PASSWORD.encode()):
        return f"The password of everybody here is “{PASSWORD}”."
    return ""


def _person(address: str) -> User:
    """Anybody of the domain exists: so the demo's hundred other students can be tried, too."""
    number = hashlib.sha256(address.encode()).hexdigest()[:16]
    user, made = User.objects.get_or_create(username=number, defaults={"email": address})
    if made:
        names = {person.email: person.name for person in PEOPLE}
        full = names.get(address) or address.partition("@")[0].replace(".", " ").title()
        user.first_name, _, user.last_name = full.partition(" ")
        user.save(update_fields=["first_name", "last_name"])
        EmailAddress.objects.create(user=user, email=address, verified=True, primary=True)
    return user
