"""A second factor for those whose access reaches other people's things: staff and who runs the installation."""

from typing import Any

from allauth.account.internal.flows.login import record_authentication
from allauth.mfa import signals
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from courses.audit import Kind, note
from courses.doors import address_of
from courses.models import User

_SEALED = ("secret", "seed")  # as the library names them in its rows


class SecondFactorNeeded(Exception):
    """Raised by the access helpers; `portal/middleware.py` shows how to set one up."""


class MFAAdapter(DefaultMFAAdapter):
    """What an authenticator app shares with us is sealed like the codes: a copy of the database opens nothing."""

    def encrypt(self, text: str) -> str:
        return _fernet().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _fernet().decrypt(encrypted_text.encode()).decode()


def require(user: User | None) -> None:
    """Raises `SecondFactorNeeded`. Who has one was asked for it when signing in."""
    if settings.STAFF_SECOND_FACTOR and user is not None and not has_one(user):
        raise SecondFactorNeeded


def has_one(user: User) -> bool:
    kinds = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
    return Authenticator.objects.filter(user=user, type__in=kinds).exists()


def listen() -> None:
    """The library says by signals when one was added or taken off."""
    signals.authenticator_added.connect(_added, dispatch_uid="second factor added")
    signals.authenticator_removed.connect(_removed, dispatch_uid="second factor removed")


def _added(request: HttpRequest, user: User, authenticator: Authenticator, **_more: Any) -> None:
    _note("mfa_on", request, user, authenticator)
    if authenticator.type != Authenticator.Type.RECOVERY_CODES:
        # It was used just now: the recovery codes, which come next, must not ask for the same digits, which are spent.
        said = {"id": authenticator.pk, "type": authenticator.type, "reauthenticated": True}
        record_authentication(request, user, "mfa", **said)


def _removed(request: HttpRequest, user: User, authenticator: Authenticator, **_more: Any) -> None:
    _note("mfa_off", request, user, authenticator)


def _note(what: str, request: HttpRequest, user: User, authenticator: Authenticator) -> None:
    facts = {"type": str(authenticator.type)}
    note(what, kind=Kind.SIGN_IN, who=user, address=address_of(request), facts=facts, now=timezone.now())


def seal_anew() -> tuple[int, int]:
    """What authenticator apps share with us, under the newest key: how many were, and how many no key opens. Resumable:
    under the newest key already, one is only sealed once more."""
    found = Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).order_by("pk").values_list("pk", flat=True)
    lost = [pk for pk in list(found) if not _seal_anew(pk)]
    return len(found) - len(lost), len(lost)


@transaction.atomic
def _seal_anew(pk: int) -> bool:
    """Locked: its person may be using one of its codes, which is written into the same column."""
    one = Authenticator.objects.select_for_update().filter(pk=pk).first()
    if one is None:
        return True
    sealed = {name: value for name, value in one.data.items() if name in _SEALED}
    try:
        fresh = {name: _fernet().rotate(value.encode()).decode() for name, value in sealed.items()}
    except InvalidToken:
        return False
    Authenticator.objects.filter(pk=pk).update(data=one.data | fresh)
    return True


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.CODE_KEYS])
