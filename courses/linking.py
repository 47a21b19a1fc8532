"""A second provider for a person who is known from another one: linked only when both are proved to be theirs.

The new provider vouches for the address alone; whoever runs it could vouch for anybody's. So the person also signs in
as before (or with a code by mail), in the same browser and within a quarter of an hour.
"""

from datetime import datetime, timedelta

from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from courses.audit import Kind, note
from courses.doors import address_of
from courses.models import User

_KEY = "login_to_link"
WAITS = timedelta(minutes=15)


def is_new_door(login: SocialLogin, user: User) -> bool:
    """Whether somebody else has vouched for this person so far, and this provider never has."""
    known = set(SocialAccount.objects.filter(user=user).values_list("provider", flat=True))
    return bool(known) and login.account.provider not in known


def is_proved(request: HttpRequest, user: User) -> bool:
    return request.user.is_authenticated and request.user.pk == user.pk


def wait_for_proof(request: HttpRequest, login: SocialLogin, user: User, now: datetime) -> None:
    request.session[_KEY] = {"login": login.serialize(), "user": user.pk, "at": now.timestamp()}


def link_if_waiting(request: HttpRequest, user: User, came_by: str) -> bool:
    """Called at the end of each sign-in: it is the proof, when it is the same person's and by another door."""
    waiting = request.session.pop(_KEY, None)
    now = timezone.now()
    if not waiting or waiting["user"] != user.pk or now.timestamp() - waiting["at"] > WAITS.total_seconds():
        return False
    login = SocialLogin.deserialize(waiting["login"])
    if login.account.provider == came_by:
        return False
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        theirs = SocialAccount.objects.filter(provider=login.account.provider)
        if theirs.filter(uid=login.account.uid).exists() or theirs.filter(user=user).exists():
            return False
        login.account.pk, login.account.user, login.user = None, user, user
        login.account.save()
        note_linked(request, user, login, now)
    return True


def note_linked(request: HttpRequest, user: User, login: SocialLogin, now: datetime) -> None:
    facts = {"by": login.account.provider}
    note("account_linked", kind=Kind.SIGN_IN, who=user, address=address_of(request), facts=facts, now=now)
