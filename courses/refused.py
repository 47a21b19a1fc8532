"""The pages of people who cannot come in: what happened, in words, and whom to ask."""

from allauth.socialaccount.providers.base import Provider
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from courses.claims import Refusal
from courses.models import Course

_WORDS = {
    Refusal.NOT_A_SIGN_IN: _(
        "A second account cannot be linked here. Sign out first, then sign in with the other one."
    ),
    Refusal.UNVERIFIED: _("Your university did not confirm an e-mail address for this account."),
    Refusal.OTHER_SUBJECT: _("Your university answered about two different people. Please try again."),
    Refusal.OTHER_ORGANISATION: _("This account does not belong to the university that this course is held at."),
    Refusal.OTHER_DOMAIN: _("This address does not belong to the university that this course is held at."),
    Refusal.RECYCLED: _("This address belonged to another person here before. The staff can release it for you."),
    Refusal.ADDRESS_TAKEN: _("Your address has changed, and somebody else here has the new one already."),
    Refusal.NO_SUBJECT: _(
        "Your university did not say who you are in a way that lasts. Its help desk can release your identifier to us."
    ),
    Refusal.OTHER_AFFILIATION: _("Your university says that you are no student or employee there at present."),
    Refusal.CLOSED: _("Your account here was closed."),
}


_TEMPLATES = {Refusal.NOT_ON_ROSTER: "not_on_roster", Refusal.UNPROVED: "prove_it"}


def refused_page(request: HttpRequest, address: str, why: Refusal, provider: Provider | None) -> HttpResponse:
    """`provider` None: they came with a code by mail."""
    context = {
        "address": address,
        "provider": provider.name if provider else "",
        # Without this the provider's own session would bring the same person back at once.
        "other_account_url": provider.get_login_url(request, auth_params="prompt=select_account") if provider else "",
        "codes": settings.ACCOUNT_LOGIN_BY_CODE_ENABLED,
        "why": _WORDS.get(why),
        "courses": Course.objects.filter(ends_on__gte=timezone.now().date()).exclude(contact="").order_by("name")[:10],
    }
    return render(request, f"courses/{_TEMPLATES.get(why, 'sign_in_refused')}.html", context, status=403)


def provider_silent_page(request: HttpRequest) -> HttpResponse:
    return render(request, "courses/provider_silent.html", status=503)
