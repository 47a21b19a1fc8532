"""Who may use which notebook: tickets (portal to notebook host, once) and grants (one browser, one machine).

Only the owner, staff included: a student's files and terminals are theirs. Knows no HTTP; the gateway asks here.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.db import transaction
from django.db.models import F, Q
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from courses.models import EnrollmentStatus, User
from credits import vault
from instances.models import Instance, InstanceEvent, NotebookGrant, NotebookTicket
from instances.reaching import notebook_at
from instances.states import State

TICKET_SECONDS = 60
KEPT_DAYS = 30  # spent grants stay so long, for questions afterwards


@dataclass(frozen=True, slots=True)
class Access:
    """What the gateway needs to know to pass one browser on to one machine."""

    instance_id: int
    state: str
    address: str | None  # of the notebook, "host:port", as the gateway reaches it
    notebook_token: str  # in clear: goes into the request to the machine, nowhere else

    @property
    def reachable(self) -> bool:
        return self.state == State.RUNNING and bool(self.address)


@dataclass(frozen=True, slots=True)
class Entry:
    """A redeemed ticket: the cookie for the browser, and where it wanted to go."""

    cookie: str
    path: str


def make_ticket(instance: Instance, *, user: User, session_key: str, state: str, path: str, now: datetime) -> str:
    """The secret of a new ticket, good only in the browser that `state` stands for. Only its digest is stored.

    Without the state, a student could lead another person's browser into the student's own machine.
    """
    secret = secrets.token_urlsafe(32)
    NotebookTicket.objects.create(
        digest=_digest(f"{secret}:{state}"),
        instance=instance,
        user=user,
        session_key=session_key,
        path=path,
        expires_at=now + timedelta(seconds=TICKET_SECONDS),
    )
    return secret


def state_of(cookie: str) -> str:
    """What the portal learns of the cookie by which a notebook host knows a browser again."""
    return _digest(cookie)


def redeem_ticket(secret: str, slug: str, *, state: str, now: datetime) -> Entry | None:
    """Swaps a ticket for a grant. None when used, too old, of another machine or browser, or its person is out."""
    found = NotebookTicket.objects.filter(digest=_digest(f"{secret}:{state}"), instance__slug=slug)
    ticket = found.select_related("instance", "user").first()
    if ticket is None:
        return None
    with transaction.atomic():
        # The conditional UPDATE is what makes "once" true: of two browsers with one ticket, one gets the row.
        # Only columns of its own: a join would move the condition into a subquery, and PostgreSQL does not ask
        # that again after waiting for the other browser's UPDATE.
        unused = NotebookTicket.objects.filter(pk=ticket.pk, used_at=None, expires_at__gt=now)
        if not unused.update(used_at=now):
            return None
        cookie = secrets.token_urlsafe(32)
        grant = NotebookGrant.objects.create(
            digest=_digest(cookie),
            instance=ticket.instance,
            user=ticket.user,
            session_key=ticket.session_key,
            created_at=now,
            expires_at=now + timedelta(seconds=settings.SESSION_COOKIE_AGE),
        )
        if check_grant(cookie, slug, now=now) is None:
            grant.delete()
            return None
        InstanceEvent.objects.create(
            instance=ticket.instance,
            kind=InstanceEvent.Kind.OPENED,
            reason=_("Notebook opened"),
            who=ticket.user,
            at=now,
        )
    return Entry(cookie, ticket.path)


def check_grant(cookie: str, slug: str, *, now: datetime) -> Access | None:
    """None unless this browser may use this machine's notebook at this moment."""
    grant = (
        NotebookGrant.objects.filter(
            digest=_digest(cookie),
            instance__slug=slug,
            revoked_at=None,
            expires_at__gt=now,
            user__is_active=True,
            instance__owner__user=F("user"),
            instance__owner__status=EnrollmentStatus.ACTIVE,
        )
        .select_related("instance__tunnel", "user")
        .first()
    )
    if grant is None or not _signed_in(grant.session_key, grant.user):
        return None
    machine = grant.instance
    return Access(machine.pk, machine.state, notebook_at(machine, now), vault.unseal(machine.notebook_token))


def revoke_for_session(session_key: str, *, now: datetime) -> int:
    return _revoke(now, session_key=session_key)


def revoke_for_instance(instance: Instance, *, now: datetime) -> int:
    return _revoke(now, instance=instance)


def revoke_for_user(user: User, *, now: datetime) -> int:
    return _revoke(now, user=user)


def purge(*, now: datetime) -> int:
    """Deletes tickets of yesterday and grants long spent; the number of rows. For a sweep."""
    old = now - timedelta(days=KEPT_DAYS)
    tickets, _per_model = NotebookTicket.objects.filter(expires_at__lt=now - timedelta(days=1)).delete()
    grants, _per_model = NotebookGrant.objects.filter(Q(expires_at__lt=old) | Q(revoked_at__lt=old)).delete()
    return tickets + grants


@transaction.atomic
def _revoke(now: datetime, **whose: object) -> int:
    """Ends the grants, and the tickets that would become new ones within their minute; returns how many grants.

    Tickets first: one that is being swapped at this moment is waited for, and then its grant is there to be ended.
    """
    NotebookTicket.objects.filter(used_at=None, **whose).delete()
    return NotebookGrant.objects.filter(revoked_at=None, **whose).update(revoked_at=now)


def _signed_in(session_key: str, user: User) -> bool:
    """Whether the portal session that opened the notebook still is this person's, by what Django asks of one.

    Asks the configured session engine instead of hearing of sign-outs: a session also ends by expiry, by a
    purge or by an operator, and none of these tells anybody. Nor does its row go with a new password, by which
    sign-out everywhere ends the sessions of other browsers: only their hash is the person's no more.
    Not by `auth.get_user`: under a new SECRET_KEY that moves the session to a key of which its browser never hears.
    """
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key).load()
    if str(session.get(SESSION_KEY, "")) != str(user.pk):
        return False
    if session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return False
    bound_to = session.get(HASH_SESSION_KEY) or ""
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(bound_to, one) for one in hashes)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
