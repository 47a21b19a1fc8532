"""How the rows of a test that commits are thrown away on PostgreSQL: deleted, under the lock that TRUNCATE takes.

TRUNCATE makes the files of a hundred tables and of all their indexes anew, a third of a second of the server's time
for the few rows of one test. Triggers are for the product's own deeds and do not run; where the user of the database
may not say so, Django empties in its own way.
"""

from collections.abc import Sequence
from typing import Any

from django.core.management.color import Style
from django.db.backends.postgresql.operations import DatabaseOperations

# What the migrations have put there, and what is put there again if it is missing: the same after every test.
KEPT = {"django_content_type", "auth_permission"}
_EMPTY = """
DO $$
DECLARE
    one regclass;
BEGIN
    LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE;
    PERFORM set_config('session_replication_role', 'replica', true);
    FOREACH one IN ARRAY ARRAY[{names}]::regclass[] LOOP
        CONTINUE WHEN pg_relation_size(one) = 0;
        IF pg_relation_size(one) > 1000000 THEN
            EXECUTE format('TRUNCATE %s CASCADE', one);
        ELSE
            EXECUTE format('DELETE FROM %s', one);
        END IF;
    END LOOP;
END $$
"""
_truncate = DatabaseOperations.sql_flush


def install() -> None:
    DatabaseOperations.sql_flush = _sql_flush  # type: ignore[method-assign]


def _sql_flush(
    self: DatabaseOperations,
    style: Style,
    tables: Sequence[str],
    *,
    reset_sequences: bool = False,
    allow_cascade: bool = False,
) -> list[Any]:
    with self.connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('is_superuser')")
        may_silence_triggers = cursor.fetchone() == ("on",)
    if reset_sequences or not may_silence_triggers:
        return list(_truncate(self, style, tables, reset_sequences=reset_sequences, allow_cascade=allow_cascade))
    quoted = [self.quote_name(table) for table in tables if table not in KEPT]
    names = ", ".join(f"'{table}'" for table in quoted)
    return [_EMPTY.format(tables=", ".join(quoted), names=names)]
