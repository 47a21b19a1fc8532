"""The roster as a table to take away: CSV and XLSX, as the importer reads it back. Nothing here is written back."""

from collections.abc import Iterator

from courses.models import Course
from courses.sheets import csv_text, xlsx

# Column names are not translated: scripts, and our own importer, read them.
HEADINGS = ("name", "email", "student id", "role", "status", "section", "team")


def _rows(course: Course) -> Iterator[tuple[str, ...]]:
    for line in course.enrollments.select_related("team").order_by("name", "pk"):
        team = line.team.name if line.team else ""
        yield line.name, line.email, line.roster_key, line.role, line.status, line.section, team


def roster_csv(course: Course) -> str:
    return csv_text([HEADINGS, *_rows(course)])


def roster_xlsx(course: Course) -> bytes:
    return xlsx("roster", [HEADINGS, *_rows(course)])
