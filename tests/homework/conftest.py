"""The pages' stage, and a course that allows its own repositories."""

import pytest
from django.utils import timezone

from instances.models import HomeworkSource
from tests.instances.conftest import Stage
from tests.pages.conftest import _plain_static_files, today  # noqa: F401

REPO = "https://git.demo.edu/homework"
LINK = f"/c/dl19/launch?preset=homework&repo={REPO}&path=hw1/sheet.ipynb"


@pytest.fixture
def allowed(today: Stage) -> Stage:  # noqa: F811
    HomeworkSource.objects.create(course=today.cast.course, address="https://git.demo.edu", added_at=timezone.now())
    return today
