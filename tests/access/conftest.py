"""The whole cast before a course with one of each thing in it."""

from collections.abc import Callable

import pytest
from django.test import Client

from courses.models import Enrollment, EnrollmentStatus, Role, User
from tests.access.world import World
from tests.conftest import Cast
from tests.pages.conftest import _plain_static_files, batch, signed_in, today  # noqa: F401 - fixtures
from tests.pages.credits.conftest import Shop, account, shop  # noqa: F401 - fixtures

As = Callable[[str], Client]


@pytest.fixture
def world(shop: Shop, cast: Cast) -> World:  # noqa: F811
    User.objects.create_user("olga@demo.edu", full_name="Olga Operator", is_operator=True)
    sponsor = User.objects.create_user("aws@demo.edu", full_name="Sven Sponsor")
    Enrollment.objects.create(
        course=cast.course, user=sponsor, email=sponsor.email, name="Sven Sponsor", role=Role.SPONSOR
    )
    for kind, facts in {
        "Waitlisted": {"status": EnrollmentStatus.WAITLISTED},
        "Auditor": {"role": Role.AUDITOR},
        "Dropped": {"status": EnrollmentStatus.DROPPED},
    }.items():
        user = User.objects.create_user(f"{kind.lower()}@demo.edu", full_name=f"Una {kind}")
        Enrollment.objects.create(course=cast.course, user=user, email=user.email, name=user.full_name, **facts)
    return World(cast, shop, shop.stage.running())


@pytest.fixture
def as_(world: World) -> As:
    """A browser of this role; what goes wrong in the portal is an answer like any other."""

    def browser(role: str) -> Client:
        client = Client() if role == "signed_out" else signed_in(_user(world.cast, role))
        client.raise_request_exception = False
        return client

    return browser


def _user(cast: Cast, role: str) -> User | None:
    if role == "stranger":
        return cast.stranger
    if role in ("operator", "sponsor", "waitlisted", "auditor", "dropped"):
        return User.objects.get(full_name__endswith=role.title())
    line: Enrollment = getattr(cast, role)
    return line.user
