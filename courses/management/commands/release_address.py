"""`manage.py release_address ada@example.edu`: lets a new person sign in with the address of one who has left."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from courses.services import release_address


class Command(BaseCommand):
    help = "Frees an address that the university has given to somebody new. The earlier person keeps their past."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address")

    def handle(self, *args: Any, address: str, **options: Any) -> None:
        if not release_address(address):
            raise CommandError(f"Nobody here has the address {address}.")
        self.stdout.write(f"{address} is free: its next sign-in is a new person.")
