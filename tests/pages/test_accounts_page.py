"""The staff's page of linked accounts: from the number to the first machine, in the order in which people do it."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from courses.audit import AuditNote
from instances import account_checks, tasks
from instances.account_records import CloudAccount, TeamAccount
from instances.models import ForeignMachine
from tests.instances.conftest import Stage
from tests.instances.linked_stage import NUMBER, link, told, tunnel
from tests.pages.conftest import signed_in

__all__ = ["tunnel"]
DESK = reverse("accounts_desk", args=["dl19"])


@pytest.fixture
def instructor(today: Stage, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(tasks, "cloud", lambda: today.cloud)
    return signed_in(today.cast.instructor.user)


def press(client: Client, account: CloudAccount, what: str, **more: object) -> str:
    """What the page says afterwards."""
    url = reverse("account_verb", args=["dl19", account.pk])
    answer = client.post(url, {"what": what, **more}, follow=True)
    assert answer.status_code == 200
    return " ".join(str(message) for message in answer.context["messages"])


def added(client: Client) -> CloudAccount:
    assert client.post(DESK, {"name": "Team 1's own", "account_id": "2109-8765-4321"}).status_code == 302
    return CloudAccount.objects.get()


def test_from_the_number_to_a_team_whose_machines_run_there(today: Stage, instructor: Client) -> None:
    account = added(instructor)
    assert account.account_id == NUMBER
    tasks.check_account(account.pk)
    page = instructor.get(DESK).content.decode()
    assert f'id="external-{account.pk}">{account.external_id}<' in page
    assert "arn:aws:iam::123456789012:role/lamplighter" in page  # whom the role is to trust
    assert f'data-copy="external-{account.pk}"' in page
    today.cloud.accounts.open_role(f"arn:aws:iam::{NUMBER}:role/lamplighter-linked", NUMBER, account.external_id)
    assert "Saved" in press(instructor, account, "stack", stack=told(NUMBER), joined="on")
    tasks.check_account(account.pk)
    page = instructor.get(DESK).content.decode()
    assert "Without the external id nobody gets in." in page
    assert "Checked" in page
    press(instructor, account, "bind", team=today.cast.team.pk)
    assert today.click_launch().account_id == account.pk
    assert "still there" in press(instructor, account, "remove")
    whats = AuditNote.objects.filter(what__startswith="account_").values_list("what", flat=True)
    assert set(whats) == {"account_added", "account_stack", "account_bound"}


def test_what_is_wrong_stands_on_the_page_with_what_to_do_next(today: Stage, instructor: Client) -> None:
    account = added(instructor)
    today.cloud.accounts.open_role(f"arn:aws:iam::{NUMBER}:role/lamplighter-linked", NUMBER, None)
    press(instructor, account, "stack", stack=told(NUMBER))
    tasks.check_account(account.pk)
    page = instructor.get(DESK).content.decode()
    assert "This role lets in anybody" in page
    assert "Deploy the template as it is" in page
    assert "Not usable" in page


def test_what_is_no_account_is_refused_beside_its_field(instructor: Client) -> None:
    answer = instructor.post(DESK, {"name": "x", "account_id": "1234"})
    assert answer.status_code == 422
    assert "twelve digits" in answer.content.decode()
    assert not CloudAccount.objects.exists()


def test_nothing_is_bound_that_belongs_to_another_course(today: Stage, instructor: Client) -> None:
    account = added(instructor)
    foreign = today.cast.other_course.teams.create(name="Theirs")
    url = reverse("account_verb", args=["dl19", account.pk])
    assert instructor.post(url, {"what": "bind", "team": foreign.pk}).status_code == 404
    assert instructor.post(url, {"what": "bind", "team": "²"}).status_code == 404
    CloudAccount.objects.update(course=today.cast.other_course)
    assert instructor.post(url, {"what": "remove"}).status_code == 404
    assert not TeamAccount.objects.exists()


def test_a_team_goes_back_to_the_courses_own_account_and_the_account_goes(today: Stage, instructor: Client) -> None:
    account = added(instructor)
    press(instructor, account, "bind", team=today.cast.team.pk)
    press(instructor, account, "unbind", team=today.cast.team.pk)
    assert today.click_launch().account_id is None
    assert "Removed" in press(instructor, account, "remove")
    assert account.external_id not in instructor.get(DESK).content.decode()


def test_the_template_is_the_one_that_is_shipped(instructor: Client) -> None:
    answer = instructor.get(reverse("account_template", args=["dl19"]))
    assert answer["Content-Disposition"].startswith("attachment")
    assert "sts:ExternalId" in answer.content.decode()


def test_a_daily_check_is_due_for_what_was_never_checked(today: Stage, instructor: Client) -> None:
    assert account_checks.is_due(added(instructor), today.now)


def test_what_it_allows_and_what_else_runs_there_stands_beside_what_its_teams_need(
    today: Stage, instructor: Client
) -> None:
    account = link(today).account
    there = today.cloud.accounts.cloud_of(NUMBER)
    there.catalog.vcpus["L-DB2E81BA"] = 4
    tasks.check_account(account.pk)
    facts = {"instance_type": "g5.xlarge", "cloud_state": "running", "name": "experiment", "account": account}
    times = dict.fromkeys(("launched_at", "first_seen_at", "last_seen_at"), timezone.now())
    ForeignMachine.objects.create(cloud_id="i-theirs", **facts, **times)
    calls = len(today.cloud.faults.calls) + len(there.faults.calls)
    page = instructor.get(DESK).content.decode()
    for words in ("Running On-Demand G and VT instances", "Enough for 1", "to 8 vCPUs", "i-theirs", "experiment"):
        assert words in page
    assert len(today.cloud.faults.calls) + len(there.faults.calls) == calls  # AWS is asked nothing
    assert "i-theirs" not in instructor.get(reverse("preflight", args=["dl19"])).content.decode()


def test_the_page_asks_as_often_for_many_accounts_as_for_one(today: Stage, instructor: Client) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            instructor.get(DESK)
        return len(queries)

    link(today)
    before = asked()
    for number in range(3):
        facts = {"course": today.cast.course, "name": f"Team {number}", "added_at": timezone.now()}
        CloudAccount.objects.create(account_id=f"21098765432{number + 2}", surveyed_at=timezone.now(), **facts)
    assert asked() == before
