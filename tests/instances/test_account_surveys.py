"""What a linked account allows beside what its teams' presets need, and GPU machines in it that the portal did not
start: asked once a day, in that account alone, and kept."""

from dataclasses import replace
from decimal import Decimal

import pytest

from cloud.base import Refused, Transient
from instances import account_edits, account_survey
from instances.account_survey import Survey, surveys
from instances.foreign import foreign_machines
from instances.models import ForeignMachine, Preset
from tests.instances.linked_stage import Linked, linked, read, tunnel

__all__ = ["linked", "tunnel"]
G = "L-DB2E81BA"


def of(linked: Linked) -> Survey:
    [(_account, found)] = surveys(linked.stage.cast.course, [read(linked.account)], linked.stage.now)
    return found


def asked(linked: Linked) -> int:
    return linked.there.count("quota")


def foreign(linked: Linked) -> None:
    """Somebody runs a GPU machine there by hand."""
    row = linked.running()
    theirs = replace(linked.there.machines[row.cloud_id].view(), cloud_id="i-theirs", name="experiment", tags={})
    linked.there.catalog.foreign = [theirs]


def test_its_own_quota_stands_beside_what_its_teams_need(linked: Linked) -> None:
    linked.there.catalog.vcpus[G] = 4
    linked.look()
    found = of(linked)
    [line] = found.lines
    assert (found.people, line.machines, line.vcpus_needed, line.wanted.vcpus_allowed) == (2, 2, 8, 4)
    [(short, text)] = found.short
    assert (short.missing, short.fits) == (4, 1)
    assert "to 8 vCPUs" in text
    assert linked.stage.cloud.count("quota") == 0  # the course's own account has nothing to do with it


def test_a_quota_is_asked_once_a_day_and_once_for_all_its_presets(linked: Linked) -> None:
    more = Preset.objects.get()
    more.pk, more.slug, more.name = None, "project", "Project"
    more.save()
    linked.look()
    linked.minute(3)
    assert asked(linked) == 1
    assert len(of(linked).lines) == 2
    linked.stage.later(25 * 3600)
    linked.look()
    assert asked(linked) == 2


@pytest.mark.parametrize("error", [Transient("slow"), Refused("no right to ask", code="AccessDenied")])
def test_what_aws_does_not_say_is_asked_again_within_the_hour_and_what_was_known_stays(
    linked: Linked, error: Exception
) -> None:
    linked.look()
    before = read(linked.account).surveyed_at
    linked.there.break_before("quota", error)
    linked.stage.later(25 * 3600)
    linked.minute(2)
    assert asked(linked) == 2
    assert (read(linked.account).surveyed_at, len(of(linked).lines)) == (before, 1)
    linked.stage.later(3600)
    linked.look()
    assert read(linked.account).surveyed_at == linked.stage.now


def test_a_page_asks_aws_nothing(linked: Linked) -> None:
    linked.look()
    calls = len(linked.there.faults.calls), len(linked.stage.cloud.faults.calls)
    of(linked)
    assert (len(linked.there.faults.calls), len(linked.stage.cloud.faults.calls)) == calls


def test_gpu_machines_that_the_portal_did_not_start_are_shown_there_and_never_touched(linked: Linked) -> None:
    foreign(linked)
    linked.stage.later(25 * 3600)
    linked.look()
    [one] = of(linked).foreign
    assert (one.cloud_id, one.name, one.usd_hour) == ("i-theirs", "experiment", Decimal("0.526"))
    assert foreign_machines(linked.stage.now) == []  # the course's own account has none
    assert not [op for op, args in linked.there.faults.calls if "i-theirs" in str(args)]
    linked.there.catalog.foreign = []
    linked.stage.later(25 * 3600)
    linked.look()
    assert of(linked).foreign == []


def test_a_look_into_one_account_forgets_nothing_of_another(linked: Linked) -> None:
    foreign(linked)
    linked.stage.later(25 * 3600)
    linked.look()
    account_survey.note_foreign([], None, linked.stage.now)
    assert ForeignMachine.objects.get().account == linked.account


def test_no_account_is_asked_around_in_that_lets_in_anybody_or_is_shut(linked: Linked) -> None:
    linked.look()
    linked.shut()
    linked.stage.later(25 * 3600)
    linked.minute(2)
    assert asked(linked) == 1
    linked.stage.cloud.accounts.open_role(linked.entry.role_arn, linked.entry.account_id, None)
    linked.minute(15)
    assert not read(linked.account).usable
    assert asked(linked) == 1


def test_when_the_account_is_removed_its_machines_are_no_longer_shown(linked: Linked) -> None:
    linked.there.catalog.foreign = []
    linked.look()
    facts = {"instance_type": "g4dn.xlarge", "cloud_state": "running", "account": linked.account}
    times = dict.fromkeys(("launched_at", "first_seen_at", "last_seen_at"), linked.stage.now)
    ForeignMachine.objects.create(cloud_id="i-theirs", **facts, **times)
    account_edits.remove(linked.account, who=linked.stage.cast.instructor.user, now=linked.stage.now)
    assert not ForeignMachine.objects.exists()
