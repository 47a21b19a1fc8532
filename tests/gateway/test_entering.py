"""Who gets in: one ticket, one browser, one machine, for as long as the portal session and the enrollment last."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.utils import timezone
from websockets.exceptions import InvalidStatus

from courses.models import EnrollmentStatus
from instances import grants
from instances.gateway.database import THREADS
from instances.models import Instance, InstanceEvent, NotebookGrant, NotebookTicket
from tests.conftest import Cast
from tests.gateway.conftest import (
    Browser,
    Gateway,
    Visitor,
    entered,
    new_instance,
    query_of,
    sign_in,
    sign_out,
    started_machine,
    ticket_for,
    wait_until,
)

REVOKED_WITHIN = 3.0  # seconds: two of remembering, one for a slow test machine


def test_a_ticket_becomes_a_cookie_for_this_host_alone_and_leads_to_the_page(
    gateway: Gateway, instance: Instance
) -> None:
    assert instance.owner.user
    browser = Browser(gateway, instance.slug)
    path = "/lab/tree/hw1.ipynb?reset"
    answer = browser.enter(ticket_for(instance, sign_in(instance.owner.user), path))
    assert answer.status == 302
    assert answer.one("location") == gateway.origin(instance.slug) + path
    name, *attributes = answer.one("set-cookie").split("; ")
    assert name == f"nb_grant={browser.cookie}"
    assert attributes == ["Path=/", "HttpOnly", "SameSite=Lax"]
    assert answer.one("cache-control") == "no-store"
    assert browser.visit(path).json["target"] == path
    opened = InstanceEvent.objects.get(kind=InstanceEvent.Kind.OPENED)
    assert (opened.instance, opened.who) == (instance, instance.owner.user)


def test_secrets_are_stored_as_digests_only(owner: Visitor) -> None:
    assert owner.browser.cookie not in str(NotebookGrant.objects.values_list())
    assert NotebookGrant.objects.get().digest != owner.browser.cookie


def test_a_ticket_works_once(gateway: Gateway, instance: Instance) -> None:
    assert instance.owner.user
    ticket = ticket_for(instance, sign_in(instance.owner.user))
    assert Browser(gateway, instance.slug).enter(ticket).status == 302
    again = Browser(gateway, instance.slug).enter(ticket)
    assert again.status == 403
    assert not again.all("set-cookie")
    assert b"/notebook?path=/lab" in again.body  # the way out


def test_a_ticket_of_another_machine_is_refused_and_keeps_its_use(
    gateway: Gateway, instance: Instance, cast: Cast
) -> None:
    other = new_instance(cast.other_student, None)
    assert instance.owner.user
    ticket = ticket_for(instance, sign_in(instance.owner.user))
    assert Browser(gateway, other.slug).enter(ticket).status == 403
    assert Browser(gateway, instance.slug).enter(ticket).status == 302


def test_a_ticket_works_only_in_the_browser_that_asked_for_it(gateway: Gateway, instance: Instance) -> None:
    """Else a student could lead somebody else into the student's own machine, as if it were theirs."""
    assert instance.owner.user
    ticket = ticket_for(instance, sign_in(instance.owner.user))
    victim = Browser(gateway, instance.slug, state="another browser")
    assert victim.enter(ticket).status == 403
    assert victim.visit(f"/_nb/enter?t={ticket}").status == 403  # one that never asked
    assert Browser(gateway, instance.slug).enter(ticket).status == 302


def test_a_ticket_is_too_old_after_a_minute(gateway: Gateway, instance: Instance) -> None:
    assert instance.owner.user
    ticket = ticket_for(instance, sign_in(instance.owner.user))
    NotebookTicket.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert Browser(gateway, instance.slug).enter(ticket).status == 403


def test_a_ticket_dies_with_the_sign_in_that_made_it(gateway: Gateway, instance: Instance) -> None:
    assert instance.owner.user
    session = sign_in(instance.owner.user)
    ticket = ticket_for(instance, session)
    sign_out(session)
    assert Browser(gateway, instance.slug).enter(ticket).status == 403
    assert not NotebookGrant.objects.exists()


def test_nobody_can_be_made_to_enter_inside_a_frame(gateway: Gateway, instance: Instance) -> None:
    assert instance.owner.user
    ticket = ticket_for(instance, sign_in(instance.owner.user))
    framed = Browser(gateway, instance.slug).visit(
        f"/_nb/enter?t={ticket}", Sec_Fetch_Site="same-site", Sec_Fetch_Dest="iframe"
    )
    assert framed.status == 403
    assert not framed.all("set-cookie")


def test_a_signed_out_person_is_sent_to_the_portal_and_back_to_the_page(gateway: Gateway, instance: Instance) -> None:
    answer = Browser(gateway, instance.slug).visit("/lab/tree/a%20b.ipynb?x=1&y=2")
    assert answer.status == 302
    to = answer.one("location")
    assert "/machines/" + instance.slug + "/notebook?" in to
    assert query_of(to)["path"] == ["/lab/tree/a%20b.ipynb?x=1&y=2"]
    name, _equals, state = answer.one("set-cookie").partition(";")[0].partition("=")
    assert name == "nb_state"
    assert query_of(to)["state"] == [grants.state_of(state)]


def test_a_second_tab_does_not_spoil_the_ticket_that_the_first_waits_for(gateway: Gateway, instance: Instance) -> None:
    answer = Browser(gateway, instance.slug).visit("/lab", Cookie="nb_state=the first tab's")
    assert not answer.all("set-cookie")
    assert query_of(answer.one("location"))["state"] == [grants.state_of("the first tab's")]


def test_a_signed_out_script_is_told_401(gateway: Gateway, instance: Instance) -> None:
    answer = Browser(gateway, instance.slug).ask("/api/contents")
    assert answer.status == 401
    assert "Not signed in" in str(answer.json["message"])


def test_one_students_grant_opens_nothing_on_anothers_machine(gateway: Gateway, owner: Visitor, cast: Cast) -> None:
    with started_machine() as machine:
        theirs = new_instance(cast.other_student, machine.address)
        intruder = Browser(gateway, theirs.slug, cookie=owner.browser.cookie)
        assert intruder.visit("/lab").status == 302
        assert intruder.ask("/api/contents").status == 401
        assert refused_websocket(intruder) == 401
        assert entered(gateway, theirs).browser.ask("/api").status == 200


def refused_websocket(browser: Browser, path: str = "/ws", origin: str | None = None) -> int:
    with pytest.raises(InvalidStatus) as refusal:
        browser.websocket(path, origin=origin)
    return refusal.value.response.status_code


def test_a_page_on_a_sibling_host_can_ask_for_nothing(gateway: Gateway, owner: Visitor) -> None:
    sibling = gateway.origin("msibling")
    attack = {"Origin": sibling, "Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors"}
    assert owner.browser.ask("/api/terminals", "POST", b"", **attack).status == 403
    assert owner.browser.ask("/api/contents", Sec_Fetch_Site="same-site", Sec_Fetch_Mode="no-cors").status == 403
    assert refused_websocket(owner.browser, origin=sibling) == 403


def test_a_planted_cookie_neither_helps_nor_locks_out(gateway: Gateway, owner: Visitor) -> None:
    cookies = f"nb_grant=planted; nb_grant={owner.browser.cookie}"
    assert owner.browser.ask("/api", Cookie=cookies).status == 200
    assert owner.browser.ask("/api", Cookie="nb_grant=planted").status == 401


@pytest.mark.parametrize("host", ["nb.localhost", "127.0.0.1", "a.mabc.nb.localhost", "mabc.nb.localhost.evil.com"])
def test_a_host_that_is_no_machines_is_404(gateway: Gateway, host: str) -> None:
    browser = Browser(gateway, "mabc")
    assert browser.visit("/lab", Host=f"{host}:{gateway.port}").status == 404


def test_a_machine_that_does_not_exist_looks_like_one_that_is_not_yours(gateway: Gateway) -> None:
    assert Browser(gateway, "mnosuch", cookie="x").ask("/api").status == 401


def sign_the_owner_out(visitor: Visitor) -> None:
    sign_out(visitor.session_key)


def drop_the_owner(visitor: Visitor) -> None:
    type(visitor.instance.owner).objects.update(status=EnrollmentStatus.DROPPED)


def lock_the_owner(visitor: Visitor) -> None:
    user = visitor.instance.owner.user
    assert user
    user.is_active = False
    user.save()


def give_the_session_to_another(visitor: Visitor) -> None:
    store = SessionStore(visitor.session_key)
    store["_auth_user_id"] = "999999"
    store.save()


def revoke_by_session(visitor: Visitor) -> None:
    assert grants.revoke_for_session(visitor.session_key, now=timezone.now()) == 1


def revoke_by_instance(visitor: Visitor) -> None:
    assert grants.revoke_for_instance(visitor.instance, now=timezone.now()) == 1


def revoke_by_user(visitor: Visitor) -> None:
    assert visitor.instance.owner.user
    assert grants.revoke_for_user(visitor.instance.owner.user, now=timezone.now()) == 1


def let_it_expire(visitor: Visitor) -> None:
    NotebookGrant.objects.update(expires_at=timezone.now())


@pytest.mark.parametrize(
    "end",
    [
        sign_the_owner_out,
        drop_the_owner,
        lock_the_owner,
        give_the_session_to_another,
        revoke_by_session,
        revoke_by_instance,
        revoke_by_user,
        let_it_expire,
    ],
)
def test_access_ends_within_seconds(owner: Visitor, end: Callable[[Visitor], None]) -> None:
    assert owner.browser.ask("/api").status == 200
    end(owner)
    wait_until(lambda: owner.browser.ask("/api").status == 401, "the grant is refused", REVOKED_WITHIN)


def test_access_does_not_end_by_itself(owner: Visitor) -> None:
    """The control of the test above."""
    until = time.monotonic() + REVOKED_WITHIN
    while time.monotonic() < until:
        assert owner.browser.ask("/api").status == 200
        time.sleep(0.2)


@pytest.mark.postgres
def test_a_flood_of_strangers_takes_few_connections_and_leaves_none(gateway: Gateway, instance: Instance) -> None:
    def connections() -> int:
        with connection.cursor() as cursor:
            mine = "datname = current_database() AND backend_type = 'client backend'"
            cursor.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {mine}")
            return int(cursor.fetchone()[0])

    def ask(n: int) -> int:
        return Browser(gateway, instance.slug, cookie=f"made up {n}").ask("/api").status

    before, most = connections(), 0
    with ThreadPoolExecutor(40) as crowd:
        asked = [crowd.submit(ask, n) for n in range(400)]
        while not all(question.done() for question in asked):
            most = max(most, connections())
    assert {question.result() for question in asked} == {401}
    assert 0 < most - before <= 2 * THREADS  # one that was closed is listed a moment longer
    wait_until(lambda: connections() <= before, "all are closed", 5)
