"""The provider's bill on a page: a file is read, each difference has its cause, what nobody is known for is booked."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from spend.models import Correction, Drift
from tests.instances.conftest import Stage
from tests.pages.conftest import signed_in
from tests.spend.bills import Line, write_csv

URL = "/c/dl19/staff/spend/bill/?range=7"


@pytest.fixture
def staff(today: Stage) -> Client:
    today.cast.foreign_instructor.delete()
    today.cast.other_course.delete()
    return signed_in(today.cast.instructor.user)


def bill(tmp_path: Path) -> SimpleUploadedFile:
    day = datetime.combine(timezone.now().date() - timedelta(days=5), datetime.min.time(), UTC)
    lines = [Line(day, "", "EBS:VolumeUsage.gp3", "3.25"), Line(day, "", "BoxUsage:x", "-1", "0", "Credit")]
    return SimpleUploadedFile("bill.csv.gz", write_csv(tmp_path / "bill.csv.gz", lines).read_bytes())


def test_a_file_is_read_shown_and_the_rest_booked_with_a_reason(today: Stage, staff: Client, tmp_path: Path) -> None:
    assert "AWS’s bill was not read yet" in staff.get(URL).content.decode()
    page = staff.post(reverse("bill_send", args=["dl19"]), {"file": bill(tmp_path)}, follow=True).content.decode()
    assert "2 lines read." in page
    page = staff.get(URL).content.decode()
    assert "Without a machine’s tag" in page
    assert "it may be anybody’s" in page  # what the cause means
    assert "$2.25" in page  # out of pocket
    row = Drift.objects.get(cause="untagged")
    staff.post(reverse("bill_book", args=["dl19", row.pk]), {"why": ""})
    assert not Correction.objects.exists()
    staff.post(reverse("bill_book", args=["dl19", row.pk]), {"why": "our snapshot disk"})
    assert Correction.objects.get().why == "our snapshot disk"
    assert "our snapshot disk" in staff.get(URL).content.decode()


def test_what_is_no_bill_is_refused_beside_the_field(today: Stage, staff: Client) -> None:
    for sent in (SimpleUploadedFile("roster.csv", b"name,email\n"), None):
        answer = staff.post(reverse("bill_send", args=["dl19"]), {"file": sent} if sent else {})
        assert answer.status_code == 422
        assert 'id="id_file_error"' in answer.content.decode()


def test_the_upload_needs_the_pages_own_token(today: Stage, staff: Client, tmp_path: Path) -> None:
    strict = Client(enforce_csrf_checks=True)
    assert today.cast.instructor.user
    strict.force_login(today.cast.instructor.user)
    assert strict.post(reverse("bill_send", args=["dl19"]), {"file": bill(tmp_path)}).status_code == 403
