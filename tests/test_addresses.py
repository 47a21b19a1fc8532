"""Rows say from where a thing was done: the person's address, not our proxy's, and nothing that a client made up."""

import pytest
from django.test import RequestFactory
from pytest_django.fixtures import Settings

from courses.doors import address_of


def asked(forwarded: str | None = None, remote: str = "127.0.0.1") -> str | None:
    headers = {"X-Forwarded-For": forwarded} if forwarded is not None else {}
    return address_of(RequestFactory().get("/", REMOTE_ADDR=remote, headers=headers))


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [("203.0.113.9", "203.0.113.9"), ("1.2.3.4, 203.0.113.9", "203.0.113.9"), (None, "127.0.0.1"), ("<script>", None)],
)
def test_behind_our_proxy_its_last_word_counts(settings: Settings, forwarded: str | None, expected: str | None) -> None:
    settings.BEHIND_TLS = True
    assert asked(forwarded) == expected


def test_without_a_proxy_nobody_can_claim_another_address(settings: Settings) -> None:
    settings.BEHIND_TLS = False
    assert asked("203.0.113.9", remote="198.51.100.7") == "198.51.100.7"
