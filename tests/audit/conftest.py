"""A course in which something has happened, its audit, and the means to tamper with it."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.utils import timezone

from courses.audit_guard import TABLE
from portal import audit_check, auditing
from tests.pages.conftest import _plain_static_files, batch, today  # noqa: F401 - fixtures
from tests.pages.credits.conftest import Shop, account, shop  # noqa: F401 - fixtures

Tamper = Callable[[str], None]


@pytest.fixture
def audited(shop: Shop) -> Shop:  # noqa: F811
    """Money was moved, a code was shown, a machine was started: all of it is in the chain."""
    shop.stage.running()
    assert auditing.collect(timezone.now()) > 20
    return shop


@pytest.fixture
def tamper() -> Tamper:
    """Somebody with the database's own rights, who switches its guard off first."""

    def run(sql: str) -> None:
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                cursor.execute(f"ALTER TABLE {TABLE} DISABLE TRIGGER {TABLE}_guard")
            else:
                cursor.execute(f"DROP TRIGGER IF EXISTS {TABLE}_no_update")
                cursor.execute(f"DROP TRIGGER IF EXISTS {TABLE}_no_delete")
            cursor.execute(sql)

    return run


def problems() -> list[str]:
    return list(audit_check.problems())
