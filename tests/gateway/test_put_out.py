"""Who is put out at the portal is out of the notebooks: a ticket not used yet leads nowhere, a grant given is over."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from courses.models import Enrollment, EnrollmentStatus, Role, User
from instances import grants
from instances.models import Instance, NotebookGrant, NotebookTicket
from instances.states import State
from portal import people
from portal.forgetting import forget, whose_all
from tests.conftest import Cast
from tests.gateway.conftest import new_instance, query_of, sign_in, sign_out, ticket_for
from tests.race import SOON, after, race, slow_to_commit

STATE = grants.state_of("the browser")


@pytest.fixture
def mine(cast: Cast) -> Instance:
    return new_instance(cast.student, "127.50.214.1")


def owner_of(machine: Instance) -> User:
    assert machine.owner.user
    return machine.owner.user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def fetch_ticket(browser: Client, machine: Instance) -> str:
    """As the notebook's host asks for one, or a script in that browser."""
    answer = browser.get(reverse("notebook", args=[machine.slug]), {"path": "/lab", "state": STATE})
    [secret] = query_of(answer["Location"])["t"]
    return secret


def redeem(ticket: str, machine: Instance) -> grants.Entry | None:
    return grants.redeem_ticket(ticket, machine.slug, state=STATE, now=timezone.now())


def enter(browser: Client, machine: Instance) -> str:
    entry = redeem(fetch_ticket(browser, machine), machine)
    assert entry
    return entry.cookie


def may_use(cookie: str, machine: Instance) -> bool:
    access = grants.check_grant(cookie, machine.slug, now=timezone.now())
    return access is not None and access.reachable


# ------------------------------------------------------------------ each way out
def press_the_button(machine: Instance, _browser: Client) -> None:
    """In another browser than the one that was left signed in."""
    assert signed_in(owner_of(machine)).post(reverse("sign_out_everywhere")).status_code == 302


def change_the_password(machine: Instance, _browser: Client) -> None:
    """As `manage.py changepassword` does: nobody tells the notebooks."""
    user = User.objects.get(pk=owner_of(machine).pk)
    user.set_password("another one")
    user.save()


def deactivate(machine: Instance, _browser: Client) -> None:
    User.objects.filter(pk=owner_of(machine).pk).update(is_active=False)


def end_this_browsers_session(_machine: Instance, browser: Client) -> None:
    assert browser.post(reverse("account_logout")).status_code == 302


def drop_from_the_roster(machine: Instance, _browser: Client) -> None:
    set_status(machine.owner, EnrollmentStatus.DROPPED)


def set_status(line: Enrollment, to: EnrollmentStatus) -> None:
    who = line.course.enrollments.get(role=Role.INSTRUCTOR).user
    assert who
    now = timezone.now()
    if to == EnrollmentStatus.DROPPED:
        people.close_people([line], why="left", by=Role.INSTRUCTOR, who=who, now=now)
    else:
        people.reopen(line, why="back", by=Role.INSTRUCTOR, who=who, now=now)


def give_the_line_to_another(machine: Instance, _browser: Client) -> None:
    """No door does: accounts are never made one. By hand it would be this."""
    Enrollment.objects.filter(pk=machine.owner_id).update(user=User.objects.get(email="stranger@demo.edu"))


def delete_the_machine(machine: Instance, _browser: Client) -> None:
    Instance.objects.filter(pk=machine.pk).update(state=State.TERMINATED)


def forget_the_person(machine: Instance, browser: Client) -> None:
    delete_the_machine(machine, browser)
    forget(whose_all(owner_of(machine)), why="asked", who=None, now=timezone.now())


WAYS_OUT = [
    press_the_button,
    change_the_password,
    deactivate,
    end_this_browsers_session,
    drop_from_the_roster,
    give_the_line_to_another,
    delete_the_machine,
    forget_the_person,
]
PutOut = Callable[[Instance, Client], None]


@pytest.mark.parametrize("put_out", WAYS_OUT)
def test_a_ticket_that_was_not_used_yet_leads_nowhere(mine: Instance, put_out: PutOut) -> None:
    left_signed_in = signed_in(owner_of(mine))
    ticket = fetch_ticket(left_signed_in, mine)
    put_out(mine, left_signed_in)
    entry = redeem(ticket, mine)
    assert entry is None or not may_use(entry.cookie, mine)


@pytest.mark.parametrize("put_out", WAYS_OUT)
def test_a_grant_that_was_given_is_over(mine: Instance, put_out: PutOut) -> None:
    left_signed_in = signed_in(owner_of(mine))
    cookie = enter(left_signed_in, mine)
    put_out(mine, left_signed_in)
    assert not may_use(cookie, mine)


def test_who_is_put_out_nowhere_goes_on(mine: Instance, cast: Cast) -> None:
    """The control of both: what others do, and what this person does elsewhere, ends nothing here."""
    browser = signed_in(owner_of(mine))
    cookie, ticket = enter(browser, mine), fetch_ticket(browser, mine)
    assert cast.other_student.user
    assert signed_in(cast.other_student.user).post(reverse("sign_out_everywhere")).status_code == 302
    assert signed_in(owner_of(mine)).post(reverse("account_logout")).status_code == 302
    assert may_use(cookie, mine)
    assert redeem(ticket, mine)


def test_nothing_of_before_comes_back_with_a_person_who_does(mine: Instance) -> None:
    """Within the minute of a ticket: it ends with the act that puts them out, not with a look at who they are now."""
    browser = signed_in(owner_of(mine))
    cookie, ticket = enter(browser, mine), fetch_ticket(browser, mine)
    set_status(mine.owner, EnrollmentStatus.DROPPED)
    set_status(mine.owner, EnrollmentStatus.ACTIVE)
    Instance.objects.update(state=State.RUNNING)
    assert not may_use(cookie, mine)
    assert redeem(ticket, mine) is None
    assert may_use(enter(browser, mine), mine)


# ------------------------------------------------------------------ the session's own hash
@pytest.mark.parametrize("engine", ["db", "cached_db", "cache", "file"])
def test_a_session_that_stays_after_sign_out_everywhere_opens_nothing(
    mine: Instance, settings: Settings, engine: str, tmp_path: object
) -> None:
    """Its row is still there, names the person, and is good for two weeks; the portal itself refuses it by its hash."""
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    session = sign_in(owner_of(mine))
    entry = redeem(ticket_for(mine, session), mine)
    assert entry
    press_the_button(mine, Client())
    NotebookGrant.objects.update(revoked_at=None)  # not by the revoking alone
    assert not may_use(entry.cookie, mine)
    assert redeem(ticket_for(mine, session), mine) is None  # asked for by a request that was on its way
    assert redeem(ticket_for(mine, sign_in(User.objects.get(pk=owner_of(mine).pk))), mine)
    sign_out(session)


def test_a_session_made_under_an_earlier_secret_is_good_as_long_as_that_secret_is(
    mine: Instance, settings: Settings
) -> None:
    browser, before = signed_in(owner_of(mine)), settings.SECRET_KEY
    cookie = enter(browser, mine)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new one", [before]
    key = browser.cookies[settings.SESSION_COOKIE_NAME].value
    assert may_use(cookie, mine)
    assert NotebookGrant.objects.get().session_key == key  # looking moves no session: the browser would not hear of it
    assert may_use(cookie, mine)
    settings.SECRET_KEY_FALLBACKS = []
    assert not may_use(cookie, mine)


def test_a_session_without_a_hash_or_of_a_door_that_was_taken_away_opens_nothing(
    mine: Instance, settings: Settings
) -> None:
    browser = signed_in(owner_of(mine))
    cookie = enter(browser, mine)
    doors = settings.AUTHENTICATION_BACKENDS
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    assert not may_use(cookie, mine)
    settings.AUTHENTICATION_BACKENDS = doors
    assert may_use(cookie, mine)
    session = browser.session
    del session["_auth_user_hash"]
    session.save()
    assert not may_use(cookie, mine)


# ------------------------------------------------------------------ at the same moment
def ways_to_revoke(machine: Instance) -> list[Callable[[datetime], int]]:
    key = NotebookTicket.objects.get().session_key
    return [
        lambda now: grants.revoke_for_user(owner_of(machine), now=now),
        lambda now: grants.revoke_for_instance(machine, now=now),
        lambda now: grants.revoke_for_session(key, now=now),
    ]


def redeemed_while_revoked(machine: Instance, which: int) -> int:
    """Grants that are good after both: the swap has written its grant, and commits when the revoking has begun."""
    ticket = fetch_ticket(signed_in(owner_of(machine)), machine)
    revoke = ways_to_revoke(machine)[which]
    swap = partial(slow_to_commit, lambda: redeem(ticket, machine) is not None)
    swapped, revoked = race([swap, partial(after, SOON, lambda: revoke(timezone.now()))])
    assert (swapped.value, revoked.error) == (True, None)
    return NotebookGrant.objects.filter(revoked_at=None).count()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("which", range(3), ids=["user", "machine", "session"])
def test_a_ticket_that_is_being_swapped_when_all_is_revoked_is_revoked_too(mine: Instance, which: int) -> None:
    assert redeemed_while_revoked(mine, which) == 0


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_control_without_the_tickets_the_grant_that_is_being_made_stays(
    mine: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grants_alone(now: datetime, **whose: object) -> int:
        return NotebookGrant.objects.filter(revoked_at=None, **whose).update(revoked_at=now)

    monkeypatch.setattr(grants, "_revoke", grants_alone)
    assert redeemed_while_revoked(mine, 0) == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_ticket_that_is_being_revoked_is_swapped_for_nothing(mine: Instance) -> None:
    ticket = fetch_ticket(signed_in(owner_of(mine)), mine)
    revoke = partial(slow_to_commit, partial(grants.revoke_for_user, owner_of(mine), now=timezone.now()))
    revoked, swapped = race([revoke, partial(after, SOON, lambda: redeem(ticket, mine))])
    assert (revoked.value, revoked.error, swapped.value, swapped.error) == (0, None, None, None)
    assert not NotebookGrant.objects.exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_who_forgets_a_person_and_their_browser_wait_for_each_other_in_one_order(mine: Instance) -> None:
    Instance.objects.filter(pk=mine.pk).update(state=State.TERMINATED)
    ticket = ticket_for(mine, sign_in(owner_of(mine)))
    swap = partial(slow_to_commit, lambda: redeem(ticket, mine) is not None)
    gone = partial(forget, whose_all(owner_of(mine)), why="asked", who=None, now=timezone.now())
    outcomes = race([swap, partial(after, SOON, lambda: len(gone()))])
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert not NotebookGrant.objects.filter(revoked_at=None).exists()
