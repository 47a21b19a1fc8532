"""The portal's way in: the owner only, waiting where there is nothing to open yet, and no way out of the house."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from courses.models import EnrollmentStatus, User
from instances import grants
from instances.gateway import place
from instances.models import Instance, NotebookTicket
from instances.states import State
from tests.conftest import Cast
from tests.gateway.conftest import new_instance, query_of


@pytest.fixture(autouse=True)
def _plain_static_files(settings: Settings) -> None:
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture
def mine(cast: Cast) -> Instance:
    return new_instance(cast.student, "127.50.214.1")


STATE = grants.state_of("the browser")


def url_of(instance: Instance) -> str:
    return reverse("notebook", args=[instance.slug])


def signed_in(user: User | None) -> Client:
    client = Client()
    assert user
    client.force_login(user)
    return client


def test_the_owner_gets_a_ticket_to_the_machines_own_host(mine: Instance) -> None:
    answer = signed_in(mine.owner.user).get(url_of(mine), {"path": "/lab/tree/hw1.ipynb", "state": STATE})
    assert answer.status_code == 302
    assert answer["Location"].startswith(f"http://{mine.slug}.nb.localhost:8001/_nb/enter?t=")
    assert "no-store" in answer["Cache-Control"]
    ticket = NotebookTicket.objects.get()
    assert (ticket.instance, ticket.user, ticket.path) == (mine, mine.owner.user, "/lab/tree/hw1.ipynb")
    [secret] = query_of(answer["Location"])["t"]
    assert secret not in ticket.digest


def test_nobody_is_let_in_before_awss_own_timer_stands(mine: Instance) -> None:
    """Not by the address either: who is in has root, and may take every other guard out."""
    Instance.objects.filter(pk=mine.pk).update(guard_until=None)
    answer = signed_in(mine.owner.user).get(url_of(mine), {"path": "/lab", "state": STATE})
    assert answer.status_code == 200
    assert not NotebookTicket.objects.exists()


@pytest.mark.parametrize("state", ["", "short", STATE.upper(), STATE + "0"])
def test_a_click_leads_to_the_notebook_itself_which_asks_for_a_ticket_if_it_needs_one(
    mine: Instance, state: str
) -> None:
    answer = signed_in(mine.owner.user).get(url_of(mine), {"path": "/lab/tree/x?a=b", "state": state})
    assert answer["Location"] == f"http://{mine.slug}.nb.localhost:8001/lab/tree/x?a=b"
    assert not NotebookTicket.objects.exists()


@pytest.mark.parametrize("who", ["other_student", "ta", "instructor", "foreign_instructor"])
def test_nobody_else_finds_it_staff_included(mine: Instance, cast: Cast, who: str) -> None:
    client = signed_in(getattr(cast, who).user)
    assert client.get(url_of(mine)).status_code == 404
    assert client.get(url_of(mine), {"state": STATE}).status_code == 404
    assert not NotebookTicket.objects.exists()


def test_neither_does_a_stranger_nor_an_owner_who_left_the_course(mine: Instance, cast: Cast) -> None:
    assert signed_in(cast.stranger).get(url_of(mine)).status_code == 404
    cast.student.status = EnrollmentStatus.DROPPED
    cast.student.save()
    assert signed_in(cast.student.user).get(url_of(mine)).status_code == 404


def test_a_signed_out_person_signs_in_and_comes_back_to_the_same_page(mine: Instance) -> None:
    answer = Client().get(url_of(mine), {"path": "/lab/tree/a b?x=1&y=2"})
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/?")
    [back] = query_of(answer["Location"])["next"]
    assert back.startswith(url_of(mine))
    assert query_of(back)["path"] == ["/lab/tree/a b?x=1&y=2"]


@pytest.mark.parametrize("path", ["https://evil.com/", "//evil.com/", "/\\evil.com", "lab", "/_nb/enter?t=1"])
def test_the_path_cannot_lead_elsewhere(mine: Instance, path: str) -> None:
    client = signed_in(mine.owner.user)
    answer = client.get(url_of(mine), {"path": path})
    assert answer["Location"] == f"http://{mine.slug}.nb.localhost:8001/lab"
    client.get(url_of(mine), {"path": path, "state": STATE})
    assert NotebookTicket.objects.get().path == "/lab"


def test_only_get_opens_it(mine: Instance) -> None:
    client = signed_in(mine.owner.user)
    assert client.post(url_of(mine)).status_code == 405
    assert client.head(url_of(mine)).status_code == 405


@pytest.mark.parametrize(
    ("state", "text", "polls", "starts"),
    [
        (State.REQUESTED, "The machine is starting", True, False),
        (State.LAUNCHING, "The machine is starting", True, False),
        (State.STOPPING, "The machine is stopping", True, False),
        (State.STOPPED, "The machine is stopped", False, True),
        (State.TERMINATED, "This machine is gone", False, False),
        (State.FAILED, "This machine is gone", False, False),
    ],
)
def test_a_machine_that_does_not_run_is_waited_for(
    mine: Instance, state: State, text: str, polls: bool, starts: bool
) -> None:
    Instance.objects.update(state=state, cloud_id="i-1")
    answer = signed_in(mine.owner.user).get(url_of(mine), {"path": "/lab/x"})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert text in page
    assert ("hx-trigger" in page) is polls
    assert (reverse("machine_start", args=[mine.slug]) in page) is starts
    assert not NotebookTicket.objects.exists()


def test_the_waiting_page_goes_on_when_the_state_changes_and_not_before(mine: Instance) -> None:
    Instance.objects.update(state=State.LAUNCHING)
    client = signed_in(mine.owner.user)
    poll = {"path": "/lab", "state": STATE, "shown": "launching"}
    assert client.get(url_of(mine), poll, headers={"HX-Request": "true"}).status_code == 204
    Instance.objects.update(state=State.RUNNING)
    answer = client.get(url_of(mine), poll, headers={"HX-Request": "true"})
    assert answer["HX-Refresh"] == "true"
    assert not NotebookTicket.objects.exists()  # the poll itself opens nothing


def test_who_waits_in_the_queue_is_not_told_that_the_machine_starts(mine: Instance) -> None:
    """It may take hours; and the page is opened anew when that changes, not while AWS is asked again."""
    Instance.objects.update(state=State.REQUESTED, cloud_id="", queued_at=timezone.now(), queued_for="capacity")
    Instance.objects.update(queue_tries=1)
    client, poll = signed_in(mine.owner.user), {"path": "/lab", "state": STATE, "shown": "queue"}
    page = client.get(url_of(mine), {"path": "/lab"}).content.decode()
    assert "AWS has no free machine of this kind right now" in page
    assert "In the queue" in page
    assert "a minute or two" not in page
    Instance.objects.update(state=State.LAUNCHING)
    assert client.get(url_of(mine), poll, headers={"HX-Request": "true"}).status_code == 204
    Instance.objects.update(cloud_id="i-1")
    assert client.get(url_of(mine), poll, headers={"HX-Request": "true"})["HX-Refresh"] == "true"


def test_for_whom_aws_was_not_asked_yet_the_waiting_page_makes_up_no_answer(mine: Instance) -> None:
    Instance.objects.update(state=State.REQUESTED, cloud_id="", queued_at=timezone.now(), queued_for="capacity")
    page = signed_in(mine.owner.user).get(url_of(mine), {"path": "/lab"}).content.decode()
    assert "Others came before you for such a machine" in page


def test_a_launch_that_was_called_off_before_aws_answered_is_no_machine_that_stops(mine: Instance) -> None:
    Instance.objects.update(state=State.STOPPING, cloud_id="")
    client = signed_in(mine.owner.user)
    page = client.get(url_of(mine), {"path": "/lab"}).content.decode()
    assert "called off before AWS had answered: there is nothing to open" in page
    assert "Its files are kept" not in page
    Instance.objects.update(cloud_id="i-1")  # AWS had made one: now it is one that stops
    poll = {"path": "/lab", "state": STATE, "shown": "called-off"}
    assert client.get(url_of(mine), poll, headers={"HX-Request": "true"})["HX-Refresh"] == "true"


def test_the_gateways_links_into_the_portal_are_the_portals_own(mine: Instance, settings: Settings) -> None:
    assert place.machine_page(mine.slug) == settings.PORTAL_URL + reverse("machine", args=[mine.slug])
    assert place.portal_url(mine.slug, "/lab?a=b&c").startswith(settings.PORTAL_URL + url_of(mine) + "?path=")
    assert query_of(place.portal_url(mine.slug, "/lab?a=b&c"))["path"] == ["/lab?a=b&c"]


def test_with_tls_the_cookie_has_a_name_that_no_other_host_can_set(settings: Settings) -> None:
    assert place.cookie_name() == "nb_grant"
    settings.NOTEBOOK_SCHEME = "https"
    assert place.cookie_name() == "__Host-nb_grant"


def test_a_grant_does_not_come_from_asking_alone(mine: Instance) -> None:
    signed_in(mine.owner.user).get(url_of(mine), {"state": STATE})
    assert mine.tickets.exists()
    assert not mine.grants.exists()
    assert grants.redeem_ticket("made up", mine.slug, state=STATE, now=mine.created_at) is None
