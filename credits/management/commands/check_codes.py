"""`manage.py check_codes`: says every code that is not where its last event put it; exit status 1 if there is one."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from credits.checks import check_and_keep


class Command(BaseCommand):
    help = "Compares where each code is with what happened to it; keeps the result; fails when they differ."

    def handle(self, *args: Any, **options: Any) -> None:
        kept = check_and_keep(timezone.now())
        for difference in kept.differences:
            self.stdout.write(difference)
        if kept.differences:
            raise CommandError(f"The books of codes do not add up: {len(kept.differences)} differences.")
        self.stdout.write(f"The books of {kept.codes} codes add up.")
