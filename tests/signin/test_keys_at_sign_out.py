"""An SSH key that a browser adds at the moment at which its owner signs out everywhere: it must not stay behind."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse

from courses.models import AuditNote, User
from instances import ssh_access
from instances.models import SshKey
from tests.conftest import Cast
from tests.pages.conftest import _plain_static_files, signed_in  # noqa: F401 - fixtures
from tests.race import SOON, Outcome, after, race, slow_to_commit

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGw1a0mZ5jKwS3yXo1xUJ5oS4iL7m9bq0gq1m3vJ6m1a"


def add_a_key(browser: Client) -> int:
    return browser.post(reverse("ssh_key_add"), {"public_key": KEY}).status_code


def sign_out_everywhere(browser: Client) -> int:
    return browser.post(reverse("sign_out_everywhere")).status_code


def added_then_signed_out(cast: Cast) -> list[Outcome]:
    left, here = signed_in(cast.student.user), signed_in(cast.student.user)
    adding = partial(slow_to_commit, partial(add_a_key, left))
    return race([adding, partial(after, SOON, partial(sign_out_everywhere, here))])


def signed_out_then_added(cast: Cast) -> list[Outcome]:
    """The request is let in while the new password is not committed: by the old one, it is the person's."""
    left, here = signed_in(cast.student.user), signed_in(cast.student.user)
    leaving = partial(slow_to_commit, partial(sign_out_everywhere, here))
    adding, left_everywhere = race([partial(after, SOON, partial(add_a_key, left)), leaving])
    return [adding, left_everywhere]


def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of persons only: all other locks stand."""
    plain = QuerySet.select_for_update

    def unlocked(rows: Any, *args: Any, **more: Any) -> Any:
        return rows.all() if rows.model is User else plain(rows, *args, **more)

    monkeypatch.setattr(QuerySet, "select_for_update", unlocked)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_key_that_is_being_added_is_taken_with_the_others(cast: Cast) -> None:
    outcomes = added_then_signed_out(cast)
    assert [outcome.value for outcome in outcomes] == [302, 302]
    assert not SshKey.objects.exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_request_that_was_let_in_before_adds_no_key_after(cast: Cast) -> None:
    outcomes = signed_out_then_added(cast)
    assert [outcome.value for outcome in outcomes] == [422, 302]
    assert not SshKey.objects.exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("order", [added_then_signed_out, signed_out_then_added])
def test_control_without_the_lock_the_key_stays(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, order: Callable[[Cast], list[Outcome]]
) -> None:
    without_locks(monkeypatch)
    assert [outcome.value for outcome in order(cast)] == [302, 302]
    assert SshKey.objects.filter(user=cast.student.user).count() == 1


def test_when_the_keys_cannot_be_taken_nobody_is_told_that_all_is_over(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it or nothing: a person who reads of an error presses once more, and must not be half out."""

    def broken(*_args: Any, **_more: Any) -> None:
        raise RuntimeError("the database is gone")

    here, there = signed_in(cast.student.user), signed_in(cast.student.user)
    monkeypatch.setattr(ssh_access, "remove_keys", broken)
    with pytest.raises(RuntimeError):
        sign_out_everywhere(here)
    assert there.get(reverse("me")).status_code == 200
    assert not AuditNote.objects.filter(what="signed_out_everywhere").exists()
