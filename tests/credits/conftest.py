"""A batch with codes for everyone, for the tests of credits."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from courses.models import Course, Enrollment, User
from credits.models import CodeBatch
from credits.stock import add_codes
from tests.conftest import Cast

NOW = datetime(2019, 1, 22, 17, 0, tzinfo=UTC)


def code_text(number: int) -> str:
    return f"PCTESTCODE{number:05d}"


def make_batch(course: Course, codes: int = 3, first: int = 0, **more: object) -> CodeBatch:
    values = {"name": "Credit for everyone", "value_usd": Decimal(100), **more}
    batch = CodeBatch.objects.create(course=course, **values)
    add_codes(batch, ((n, code_text(first + n)) for n in range(codes)), who=None, now=NOW)
    return batch


def enroll_students(course: Course, count: int) -> list[int]:
    users = User.objects.bulk_create([User(email=f"s{n}@demo.edu", full_name=f"Student {n}") for n in range(count)])
    lines = [Enrollment(course=course, user=user, email=user.email, name=user.full_name) for user in users]
    return [line.pk for line in Enrollment.objects.bulk_create(lines)]


@pytest.fixture
def batch(cast: Cast) -> CodeBatch:
    return make_batch(cast.course)
