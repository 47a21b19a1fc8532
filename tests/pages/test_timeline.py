"""A machine's timeline: its student reads what is written for a student, the course's staff reads everything."""

import io
import zipfile
from datetime import timedelta
from html import unescape

import pytest
from django.urls import reverse

from cloud.base import QuotaReached
from instances import services, sweeps
from instances.event_records import READER, InstanceEvent, Reader
from instances.models import Instance
from instances.moves import tell
from portal.personal import KEPT, Whose
from tests.instances.conftest import Stage, fresh
from tests.pages.conftest import signed_in
from tests.pages.test_course_home import text_of
from tests.pages.test_machine_page import page_of

Kind = InstanceEvent.Kind
FULL = "VcpuLimitExceeded: You have requested more vCPU capacity than your current limit of 64"


def read_by(row: Instance, who: object = None) -> str:
    return unescape(text_of(page_of(fresh(row), who)))


def test_every_kind_has_chosen_who_reads_it() -> None:
    assert set(READER) == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_a_student_reads_what_is_for_everybody_and_staff_reads_all(today: Stage, kind: InstanceEvent.Kind) -> None:
    row = today.running()
    tell(row, kind, reason="written for this test", now=today.now)
    assert ("written for this test" in read_by(row)) is (READER[kind] is Reader.EVERYBODY)
    for staff in (today.cast.instructor, today.cast.ta):
        assert "written for this test" in read_by(row, staff.user)


def test_what_is_hidden_takes_no_place_from_what_is_shown(today: Stage) -> None:
    row = today.running()
    for n in range(60):
        tell(row, Kind.TROUBLE, reason=f"trouble {n}", now=today.now + timedelta(seconds=n))
    assert "Asked for" in read_by(row)


def test_an_instructor_reads_everything_of_an_own_machine_too(today: Stage) -> None:
    row = today.launch(today.cast.instructor)
    tell(row, Kind.TROUBLE, reason="written for this test", now=today.now)
    assert "written for this test" in read_by(row)


def test_a_full_zone_is_named_with_what_is_asked_for_next_and_only_staff_reads_the_code(today: Stage) -> None:
    today.cloud.fill(zone="us-east-1a")
    row = today.launch()
    told = "AWS has no free g4dn.xlarge in us-east-1a right now. Asked for next: g4dn.xlarge in us-east-1b."
    mine = read_by(row)
    assert f"AWS said no · {told}" in mine
    assert mine.count(told) == 2  # and at the step that is under way
    assert "We currently do not have sufficient" not in mine
    assert "We currently do not have sufficient" in read_by(row, today.cast.ta.user)


def test_a_full_quota_is_told_to_a_student_without_the_accounts_numbers(today: Stage) -> None:
    today.cloud.break_before("run", QuotaReached(FULL, code="VcpuLimitExceeded"))
    row = today.launch()
    assert row.queued_for == "quota"
    mine, staffs = read_by(row), read_by(row, today.cast.instructor.user)
    said = "AWS lets the course's account run no more machines like g4dn.xlarge at once."
    assert f"{said} That was the last one to ask for." in mine
    assert "current limit of 64" not in mine
    assert "vCPUs are allowed" not in mine
    assert "current limit of 64" in staffs
    assert "vCPUs are allowed" in staffs


def test_each_place_that_was_full_is_told_before_the_queue(today: Stage) -> None:
    today.cloud.fill()
    row = today.launch()
    told = [(e.kind, e.new_state) for e in InstanceEvent.objects.filter(instance=row)]
    assert told == [("moved", "requested"), ("moved", "launching"), *[("refused", "")] * 6, ("moved", "requested")]
    page = read_by(row)
    for zone in "abc":
        for name in ("g4dn.xlarge", "g6.xlarge"):
            assert f"no free {name} in us-east-1{zone} right now" in page
    assert "AWS has no free g6.xlarge in us-east-1c right now. That was the last one to ask for." in page


def test_a_start_that_aws_has_no_room_for_says_so_and_staff_reads_awss_words(today: Stage) -> None:
    row = today.stop(today.running())
    today.later(60)
    today.repair()
    today.cloud.fill()
    services.request_start(fresh(row), who=row.owner.user, now=today.now)
    services.start(row.pk, cloud=today.cloud, now=today.now)
    assert "AWS has no free machine of this kind in the zone of your disk right now" in read_by(row)
    assert "We currently do not have sufficient" not in read_by(row)
    assert "We currently do not have sufficient" in read_by(row, today.cast.instructor.user)


def test_the_open_page_is_as_discreet_as_the_whole_one(today: Stage) -> None:
    row = today.running()
    sweeps.notices(today.now)
    tell(row, Kind.TROUBLE, reason="written for this test", now=today.now)
    live = f"/machines/{row.slug}/live"
    assert "written for this test" not in signed_in(row.owner.user).get(live).content.decode()
    assert "written for this test" in signed_in(today.cast.ta.user).get(live).content.decode()


def test_ones_own_data_hold_what_one_may_read_and_the_staffs_lines_are_forgotten_all_the_same(today: Stage) -> None:
    row, owner = today.running(), today.cast.student
    for kind in (Kind.REFUSED, Kind.TROUBLE):
        tell(row, kind, reason=f"{kind} was written for this test", now=today.now)
    pack = signed_in(owner.user).get(reverse("my_data_zip"))
    with zipfile.ZipFile(io.BytesIO(b"".join(pack.streaming_content))) as files:
        everything = files.read("all.json").decode()
    assert "refused was written for this test" in everything
    assert "trouble was written for this test" not in everything
    [kept] = [kept for kept in KEPT if kept.label == "instances.InstanceEvent"]
    assert kept.rows(Whose([owner], owner.user)).filter(kind=Kind.TROUBLE).exists()
