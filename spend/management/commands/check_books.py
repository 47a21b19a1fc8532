"""`manage.py check_books [course]`: says every total that is not the sum of its rows; exit status 1 if there is one."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from courses.models import Course
from spend.checks import check_books


class Command(BaseCommand):
    help = "Compares budgets, holds and daily sums with the rows they sum; fails when they differ."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("course", nargs="?", help="only this course (its short name in addresses)")

    def handle(self, *args: Any, course: str | None = None, **options: Any) -> None:
        differences = check_books(_course(course))
        for difference in differences:
            self.stdout.write(str(difference))
        if differences:
            raise CommandError(f"The books do not add up: {len(differences)} differences.")
        self.stdout.write("The books add up.")


def _course(slug: str | None) -> Course | None:
    if slug is None:
        return None
    found = Course.objects.filter(slug=slug).first()
    if found is None:
        raise CommandError(f"There is no course {slug}.")
    return found
