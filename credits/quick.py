"""The usual click at a quarter of its cost: two plain reads, and one round trip to PostgreSQL that takes the code.

SQL by hand, because a claim must cost less than two pages with one read (`make bench-claim`). Anything else (a second
click, a changed roster line, the queue, teams, another database) takes nothing here and is left to `claiming.py`,
which does the same step by step. Keep the two alike.
"""

from datetime import datetime
from typing import Any

from django.db import connection
from django.http import Http404

from courses.access import enrollment_in
from courses.models import Course, Enrollment, User
from credits.models import CodeBatch, CreditCode

_COLUMNS = [field.attname for field in CreditCode._meta.concrete_fields]

# Two statements, sent together, are one transaction with two snapshots: whoever waited for the lock on the roster line
# (a second tab) then sees the code that the first one took.
SQL = f"""
SELECT FROM courses_enrollment WHERE id = %(line)s FOR NO KEY UPDATE;
WITH free AS (
    SELECT code.id FROM credits_creditcode code
    WHERE code.batch_id = %(batch)s AND code.status = 'available'
      AND EXISTS (
        SELECT FROM courses_enrollment
        WHERE id = %(line)s AND role = %(role)s AND status = %(status)s AND section = %(section)s
          AND team_id IS NOT DISTINCT FROM %(team)s::bigint)
      AND NOT EXISTS (
        SELECT FROM credits_creditcode WHERE batch_id = %(batch)s AND holder_id = %(line)s AND entitlement = '')
      AND NOT EXISTS (SELECT FROM credits_codewait WHERE batch_id = %(batch)s AND closed_at IS NULL)
    ORDER BY code.id + 0 LIMIT 1 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE credits_creditcode code SET status = 'claimed', holder_id = %(line)s, claimed_at = %(now)s
    FROM free WHERE code.id = free.id
    RETURNING {", ".join(f"code.{column}" for column in _COLUMNS)}
), noted AS (
    INSERT INTO credits_codeevent (code_id, verb, who_id, why, address, at)
    SELECT id, 'claimed', %(who)s, '', %(address)s::inet, %(now)s FROM taken
)
SELECT * FROM taken
"""  # noqa: S608 - names of our own columns


_LINE = """
SELECT line.*, course.ends_on AS last_day
FROM courses_enrollment line JOIN courses_course course ON course.id = line.course_id
WHERE line.user_id = %s AND line.status = 'active' AND line.role IN ('student', 'ta', 'instructor') AND course.slug = %s
  AND course.ends_on >= %s
"""
_BATCH = "SELECT * FROM credits_codebatch WHERE id = %s AND course_id = %s"


def to_claim(user: User, slug: str, batch_id: int, now: datetime) -> tuple[Enrollment, CodeBatch]:
    """Access for the claim's door: the line by which the person enters this course, and a batch of it. Or Http404."""
    line = _active_line(user, slug, now) or enrollment_in(user, slug)
    batch = next(iter(CodeBatch.objects.raw(_BATCH, [batch_id, line.course_id])), None)
    if batch is None:
        raise Http404
    return line, batch


def _active_line(user: User, slug: str, now: datetime) -> Enrollment | None:
    """The usual claimant, in one read. Anybody else (a waitlist, a course that is over) is `courses/access.py`'s."""
    line: Any = next(iter(Enrollment.objects.raw(_LINE, [user.pk, slug, now.date()])), None)
    if line is not None:  # so much of its course is known already; the rest is read where somebody asks for it
        line.course = Course.from_db(connection.alias, ["id", "ends_on"], [line.course_id, line.last_day])
    found: Enrollment | None = line
    return found


def claim_at_once(
    enrollment: Enrollment, batch: CodeBatch, *, who: User, address: str | None, now: datetime
) -> CreditCode | None:
    """The code that is now this person's; None: nothing was changed. The roster line must still be as it was judged."""
    if connection.vendor != "postgresql":
        return None
    values: dict[str, str | int | datetime | None] = {
        "line": enrollment.pk,
        "role": enrollment.role,
        "status": enrollment.status,
        "section": enrollment.section,
        "team": enrollment.team_id,
        "batch": batch.pk,
        "who": who.pk,
        "address": address,
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(SQL, values)
        cursor.nextset()
        row = cursor.fetchone()
    return CreditCode.from_db(connection.alias, _COLUMNS, row) if row else None
