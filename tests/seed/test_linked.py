"""The demo's linked account goes the whole way over the wire: in order, bound to a team, and done once."""

import time
from typing import Any

import pytest
from django.utils import timezone

from courses.models import Course, Team
from demo import people
from demo.seed import linked
from demo.seed.linked import link_an_account
from instances.account_records import CloudAccount, TeamAccount
from instances.account_survey import surveys
from tests.conftest import Cast
from tests.instances.conftest import Stage, stage
from tests.simulated_aws import SimulatedAws, aws_credentials, sim, simulated_aws

__all__ = ["aws_credentials", "sim", "simulated_aws", "stage"]


@pytest.fixture
def course(stage: Stage, sim: SimulatedAws, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Course:
    """As the demo's, as far as this looks at it."""
    cast: Cast = stage.cast
    assert cast.instructor.user
    cast.instructor.user.email = people.INSTRUCTOR.email
    cast.instructor.user.save()
    Course.objects.filter(pk=cast.course.pk).update(slug=linked.SLUG)
    Team.objects.filter(pk=cast.team.pk).update(name=f"Team 22: {linked._TEAM}")
    stage.preset.image_id = sim.network["image_id"]
    stage.preset.save()
    settings.AWS_ENDPOINT_URL = sim.url
    home = sim.cloud()
    monkeypatch.setattr(linked, "cloud", lambda: home)
    return Course.objects.get(pk=cast.course.pk)


def test_it_is_checked_bound_and_surveyed_within_seconds_and_only_once(course: Course) -> None:
    began = time.monotonic()
    assert link_an_account(timezone.now())
    assert time.monotonic() - began < 10
    account = CloudAccount.objects.get()
    assert account.usable, account.findings
    assert TeamAccount.objects.get().account == account
    [(_account, found)] = surveys(course, [account], timezone.now())
    assert found.lines
    assert not link_an_account(timezone.now())


def test_a_start_that_was_interrupted_is_finished_by_the_next(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(linked, "_deployed", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            link_an_account(timezone.now())
    assert link_an_account(timezone.now())
    assert CloudAccount.objects.get().usable


def _interrupted(_external_id: str) -> str:
    raise KeyboardInterrupt


def test_without_a_simulated_aws_nothing_is_linked(course: Course, settings: Any) -> None:
    settings.AWS_ENDPOINT_URL = ""
    assert not link_an_account(timezone.now())
    assert not CloudAccount.objects.exists()
