"""Giving up a lost AWS account as staff do it: what would be lost, the act, and what people then read."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from courses.models import User
from instances import tasks
from instances.account_records import CloudAccount
from instances.models import DiskSnapshot, Instance, SweepBeat
from instances.states import State
from spend.models import Hold
from tests.instances.conftest import Stage, fresh
from tests.instances.linked_stage import NUMBER, Linked, link, read, tunnel
from tests.pages.conftest import signed_in

__all__ = ["tunnel"]


@pytest.fixture
def linked(today: Stage, monkeypatch: pytest.MonkeyPatch) -> Linked:
    """One machine with a copy of its disk, in an account that nobody can enter since eight days."""
    monkeypatch.setattr(tasks, "cloud", lambda: today.cloud)
    found = link(today)
    row = found.running()
    copy = {"instance": row, "owner": row.owner, "course": row.course, "size_gb": 20, "usd_hour": "0.001"}
    DiskSnapshot.objects.create(
        **copy, why="nightly", standing="kept", cloud_id="snap-1", wanted_at=today.now, since=today.now
    )
    found.shut()
    found.look()
    CloudAccount.objects.update(shut_since=timezone.now() - timedelta(days=8))
    SweepBeat.objects.update(finished_at=timezone.now())
    return found


@pytest.fixture
def instructor(linked: Linked) -> Client:
    return signed_in(linked.stage.cast.instructor.user)


def page_of(linked: Linked) -> str:
    return reverse("account_lost", args=["dl19", linked.account.pk])


def test_first_it_says_what_would_be_lost_and_what_that_means(linked: Linked, instructor: Client) -> None:
    desk = instructor.get(reverse("accounts_desk", args=["dl19"])).content.decode()
    assert page_of(linked) in desk
    page = instructor.get(page_of(linked)).content.decode()
    row = Instance.objects.get()
    for words in (row.slug, row.owner.name, "64 GB", "20 GB", "Held for it now", "billed to whoever owns that account"):
        assert words in page
    assert read(linked.account).lost_at is None


def test_the_number_typed_it_is_given_up_and_its_owner_reads_so(linked: Linked, instructor: Client) -> None:
    answer = instructor.post(page_of(linked), {"number": "2109-8765-4321"}, follow=True)
    assert "Given up." in answer.content.decode()
    tasks.write_off_account(linked.account.pk)
    row = Instance.objects.get()
    assert row.state == State.TERMINATED
    tasks.sweep_meter()
    assert not Hold.objects.filter(closed_at=None, amount_usd__gt=0).exists()
    desk = instructor.get(reverse("accounts_desk", args=["dl19"])).content.decode()
    assert "Given up as lost" in desk
    assert 'value="check"' not in desk
    assert "In order" not in desk  # what the last check found is of no use any more
    assert 'name="stack"' not in desk
    student = signed_in(row.owner.user)
    assert "is lost" in student.get(reverse("machine", args=[row.slug])).content.decode()
    home = student.get(reverse("course_home", args=["dl19"])).content.decode()
    assert "is lost" in home
    assert ">lost</span>" in home
    again = instructor.post(page_of(linked), {"number": NUMBER}, follow=True)
    assert "given up already" in again.content.decode()


def test_another_number_gives_up_nothing(linked: Linked, instructor: Client) -> None:
    answer = instructor.post(page_of(linked), {"number": "310987654321"})
    assert answer.status_code == 422
    assert "This is another number." in answer.content.decode()
    assert read(linked.account).lost_at is None


def test_too_early_it_says_from_when_on_and_takes_no_number(linked: Linked, instructor: Client) -> None:
    CloudAccount.objects.update(shut_since=timezone.now() - timedelta(days=3))
    page = instructor.get(page_of(linked)).content.decode()
    assert "less than 7 days" in page
    assert 'name="number"' not in page
    answer = instructor.post(page_of(linked), {"number": NUMBER})
    assert answer.status_code == 422
    assert "less than 7 days" in answer.content.decode()
    assert (read(linked.account).lost_at, fresh(Instance.objects.get()).state) == (None, State.RUNNING)


def test_one_that_answers_is_not_offered(linked: Linked, instructor: Client) -> None:
    CloudAccount.objects.update(shut_since=None)
    assert page_of(linked) not in instructor.get(reverse("accounts_desk", args=["dl19"])).content.decode()
    assert "It answers" in instructor.get(page_of(linked)).content.decode()


def test_an_operator_sees_sums_and_nobodys_name(linked: Linked) -> None:
    operator = User.objects.create_user("op@demo.edu", full_name="Op", is_operator=True)
    page = signed_in(operator).get(page_of(linked)).content.decode()
    row = Instance.objects.get()
    assert row.slug in page
    assert row.owner.name not in page


def test_who_sets_up_no_course_finds_no_such_page(linked: Linked) -> None:
    cast = linked.stage.cast
    for line in (cast.student, cast.ta, cast.foreign_instructor):
        client = signed_in(line.user)
        assert client.get(page_of(linked)).status_code == 404
        assert client.post(page_of(linked), {"number": NUMBER}).status_code == 404
    assert read(linked.account).lost_at is None


def test_the_page_asks_as_often_for_many_as_for_one(linked: Linked, instructor: Client) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            instructor.get(page_of(linked))
        return len(queries)

    before, copy = asked(), DiskSnapshot.objects.get()
    for n in range(10):
        copy.pk, copy.slug, copy.cloud_id = None, f"s{n}", f"snap-{n}"
        copy.save()
    assert asked() == before
