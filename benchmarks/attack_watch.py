"""What looks on while the cap is attacked: the database itself, at every commit; and the control without the guards.

It sums holds and charges from their rows, for every budget and all below it, and writes down each that is over. It
knows neither our running totals nor our constraint.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

WATCH = """
CREATE TABLE attack_over (level text, name text, amount numeric, used numeric,
  at timestamptz DEFAULT clock_timestamp());
CREATE SEQUENCE attack_commits;
CREATE FUNCTION attack_look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('attack.looked', true) = txid_current()::text THEN RETURN NULL; END IF;
  PERFORM set_config('attack.looked', txid_current()::text, true), nextval('attack_commits');
  INSERT INTO attack_over (level, name, amount, used)
  WITH RECURSIVE tree AS (
    SELECT id AS top, id FROM spend_budget
    UNION ALL SELECT tree.top, b.id FROM tree JOIN spend_budget b ON b.parent_id = tree.id
  ), rows AS (
    SELECT budget_id, amount_usd FROM spend_hold WHERE closed_at IS NULL
    UNION ALL SELECT budget_id, amount_usd FROM spend_charge
  ), used AS (
    SELECT tree.top, sum(rows.amount_usd) AS usd FROM tree JOIN rows ON rows.budget_id = tree.id GROUP BY tree.top
  )
  SELECT b.level, b.name, b.amount_usd, used.usd FROM used JOIN spend_budget b ON b.id = used.top
  WHERE used.usd > b.amount_usd;
  RETURN NULL;
END $$;
"""
WATCHED = ("spend_hold", "spend_charge", "spend_budget")


@contextmanager
def watched() -> Iterator[None]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(WATCH)
        for table in WATCHED:
            cursor.execute(
                f"CREATE CONSTRAINT TRIGGER attack_{table} AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY"
                " DEFERRED FOR EACH ROW EXECUTE FUNCTION attack_look()"
            )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION attack_look CASCADE; DROP TABLE attack_over; DROP SEQUENCE attack_commits")


@contextmanager
def unguarded() -> Iterator[None]:
    """Watched, and without the lock and the constraint."""
    from django.db import connection
    from django.db.models import F

    from spend import services
    from spend.models import Budget

    def read_only(budget: Budget) -> list[Budget]:
        """What `lock_path` would be if it did not lock; a breath later, as between any check and its act."""
        path = [budget]
        while path[0].parent_id is not None:
            path.insert(0, Budget.objects.get(pk=path[0].parent_id))
        time.sleep(0.3)
        return path

    cap = next(one for one in Budget._meta.constraints if one.name == "budget_cap_holds")
    locked = services.lock_path
    with connection.schema_editor() as schema:
        schema.remove_constraint(Budget, cap)
    services.lock_path = read_only
    try:
        with watched():
            yield
    finally:
        services.lock_path = locked
        Budget.objects.update(amount_usd=F("amount_usd") + 1000)  # for what went over, so that it can come back
        with connection.schema_editor() as schema:
            schema.add_constraint(Budget, cap)


def looked() -> tuple[int, list[tuple[Any, ...]]]:
    """Commits that the database looked at, and what it found over."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT level, name, amount, used, at FROM attack_over ORDER BY at")
        over = cursor.fetchall()
        cursor.execute("SELECT last_value FROM attack_commits")
        return cursor.fetchone()[0], over
