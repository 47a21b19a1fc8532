"""Tickets and grants as rows: once means once even at the same moment, and old rows go."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from instances import grants
from instances.models import Instance, NotebookGrant, NotebookTicket
from tests.conftest import Cast
from tests.gateway.conftest import new_instance, sign_in, ticket_for

BROWSERS = 8


@pytest.fixture
def mine(cast: Cast) -> Instance:
    return new_instance(cast.student, "127.50.214.1")


def owner_session(instance: Instance) -> str:
    assert instance.owner.user
    return sign_in(instance.owner.user)


def redeem(ticket: str, slug: str, *, now: datetime) -> grants.Entry | None:
    return grants.redeem_ticket(ticket, slug, state=grants.state_of("the browser"), now=now)


def redeem_at_once(ticket: str, slug: str) -> int:
    """How many of several browsers get in with the same ticket."""
    ready = threading.Barrier(BROWSERS)

    def enter(_n: int) -> bool:
        try:
            ready.wait(10)
            return redeem(ticket, slug, now=timezone.now()) is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(BROWSERS) as browsers:
        return sum(browsers.map(enter, range(BROWSERS)))


@pytest.mark.django_db(transaction=True)
def test_of_several_browsers_with_one_ticket_one_gets_in(mine: Instance) -> None:
    ticket = ticket_for(mine, owner_session(mine))
    assert redeem_at_once(ticket, mine.slug) == 1
    assert NotebookGrant.objects.count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_control_without_the_condition_several_would_get_in(mine: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: looking first and writing afterwards lets several through."""
    looked = threading.Barrier(BROWSERS)
    update: Callable[..., int] = QuerySet.update

    def look_then_write(tickets: QuerySet[NotebookTicket], **values: object) -> int:
        if "used_at" not in values:
            return update(tickets, **values)
        free = tickets.exists()
        looked.wait(10)
        update(NotebookTicket.objects.all(), **values)
        return int(free)

    monkeypatch.setattr(QuerySet, "update", look_then_write)
    assert redeem_at_once(ticket_for(mine, owner_session(mine)), mine.slug) > 1


def test_a_grant_ends_for_its_session_its_machine_or_its_person_alone(cast: Cast, mine: Instance) -> None:
    now = timezone.now()
    theirs = new_instance(cast.other_student, "127.50.214.1")
    cookies = {}
    for machine in (mine, theirs):
        entry = redeem(ticket_for(machine, owner_session(machine)), machine.slug, now=now)
        assert entry
        cookies[machine] = entry.cookie
    assert cast.student.user
    assert grants.revoke_for_user(cast.student.user, now=now) == 1
    assert grants.revoke_for_user(cast.student.user, now=now) == 0  # said twice
    assert grants.check_grant(cookies[mine], mine.slug, now=now) is None
    access = grants.check_grant(cookies[theirs], theirs.slug, now=now)
    assert access
    assert access.notebook_token == "the machine's token"
    assert access.reachable


def test_an_expired_session_gives_no_access(mine: Instance) -> None:
    from django.contrib.sessions.models import Session

    entry = redeem(ticket_for(mine, owner_session(mine)), mine.slug, now=timezone.now())
    assert entry
    assert grants.check_grant(entry.cookie, mine.slug, now=timezone.now())
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert grants.check_grant(entry.cookie, mine.slug, now=timezone.now()) is None


@pytest.mark.parametrize("engine", ["db", "cached_db", "cache", "file"])
def test_every_session_engine_of_django_that_keeps_sessions_works(
    mine: Instance, settings: object, engine: str, tmp_path: object
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"  # type: ignore[attr-defined]
    settings.SESSION_FILE_PATH = str(tmp_path)  # type: ignore[attr-defined]
    session = owner_session(mine)
    entry = redeem(ticket_for(mine, session), mine.slug, now=timezone.now())
    assert entry
    from tests.gateway.conftest import sign_out

    sign_out(session)
    assert grants.check_grant(entry.cookie, mine.slug, now=timezone.now()) is None


def test_old_rows_go_and_live_ones_stay(mine: Instance) -> None:
    now = timezone.now()
    session = owner_session(mine)
    for _n in range(3):
        assert redeem(ticket_for(mine, session), mine.slug, now=now)
    old, revoked, _live = NotebookGrant.objects.order_by("pk")
    NotebookGrant.objects.filter(pk=old.pk).update(expires_at=now - timedelta(days=31))
    NotebookGrant.objects.filter(pk=revoked.pk).update(revoked_at=now - timedelta(days=31))
    NotebookTicket.objects.filter(pk__lte=NotebookTicket.objects.order_by("pk")[1].pk).update(
        expires_at=now - timedelta(days=2)
    )
    assert grants.purge(now=now) == 4
    assert (NotebookGrant.objects.count(), NotebookTicket.objects.count()) == (1, 1)
    assert grants.purge(now=now) == 0
