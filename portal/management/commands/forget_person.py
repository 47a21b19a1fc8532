"""`manage.py forget_person ada@example.edu`: says what would be removed; with `--yes`, removes it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from portal.forgetting import Count, StillInUse, address_known, forget, plan


class Command(BaseCommand):
    help = "Removes a person's name, addresses and words. Amounts, ids and states stay, so that the books still sum."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address")
        parser.add_argument("--yes", action="store_true", help="Do it. Without this nothing is changed.")
        parser.add_argument("--why", default="", help="For the audit; must not name the person.")

    def handle(self, *args: Any, address: str, yes: bool, why: str, **options: Any) -> None:
        whose = address_known(address)
        if whose is None:
            raise CommandError(f"Nobody here has the address {address}.")
        courses = ", ".join(line.course.slug for line in whose.lines) or "none"
        self.stdout.write(f"{address}: {'account' if whose.user else 'no account'}; courses: {courses}")
        if not yes:
            self._say(plan(whose))
            self.stdout.write("Nothing was changed. Say it again with --yes to do it; there is no way back.")
            return
        try:
            self._say(forget(whose, why=why, who=None, now=timezone.now()))
        except StillInUse as refused:
            raise CommandError(f"Nothing was changed: {refused}") from refused
        self.stdout.write("Done. Backups made before today still hold what was removed.")

    def _say(self, counts: list[Count]) -> None:
        for count in counts:
            self.stdout.write(f"  {count.rows:>7}  {count.title}: {count.done}")
