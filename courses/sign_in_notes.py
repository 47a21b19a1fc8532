"""What the audit keeps of sign-ins: who came in by which door, who was not let in and why."""

from allauth.socialaccount.models import SocialLogin
from django.core.cache import cache
from django.http import HttpRequest
from django.utils import timezone

from courses.audit import Kind, note
from courses.doors import address_of
from courses.models import Enrollment, User

# Anybody can bring a broken answer, as often as they like: one row a minute for each address tells as much.
_FAILURE_SECONDS = 60


def signed_in(request: HttpRequest, user: User, login: SocialLogin | None) -> None:
    door = login.account.provider if login else "mail"
    note("signed_in", kind=Kind.SIGN_IN, who=user, address=address_of(request), facts={"by": door}, now=timezone.now())


def refused(request: HttpRequest, address: str, *, why: str, by: str) -> None:
    """In each course whose roster has the address, so that its staff can answer; else in the installation's audit."""
    named = Enrollment.objects.filter(email__iexact=address).select_related("course") if address else ()
    lines: list[Enrollment | None] = [*named] or [None]
    where, facts = address_of(request), {"by": by, "reason": why}
    for line in lines:
        note(
            "sign_in_refused",
            kind=Kind.SIGN_IN,
            about=line,
            subject=address,
            address=where,
            facts=facts,
            now=timezone.now(),
        )


def failed(request: HttpRequest, *, why: str, by: str) -> None:
    """Nobody was named: a foreign or forged answer, or a provider's error."""
    where = address_of(request)
    if cache.add(f"sign-in-failed/{where}", 1, _FAILURE_SECONDS):
        facts = {"by": by, "reason": why}
        note("sign_in_failed", kind=Kind.SIGN_IN, address=where, facts=facts, now=timezone.now())
