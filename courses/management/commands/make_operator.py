"""`manage.py make_operator ada@example.edu`: who runs this installation. `--undo` takes it back."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from courses import audit
from courses.audit import Kind
from courses.models import User
from courses.names import is_address


class Command(BaseCommand):
    help = "Makes a person an operator: may sign in without a roster line, and set up courses. Sees no student's page."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", help="the one that the university's sign-in vouches for")
        parser.add_argument("--undo", action="store_true")

    @transaction.atomic
    def handle(self, *args: Any, address: str, undo: bool, **options: Any) -> None:
        address = address.strip().lower()
        if not is_address(address):
            raise CommandError(f"{address} is no e-mail address.")
        user = User.objects.select_for_update().filter(email__iexact=address).first()
        if user is None and undo:
            raise CommandError(f"Nobody here has the address {address}.")
        user = user or User.objects.create_user(address)
        if user.is_operator == (not undo):
            self.stdout.write(f"{address}: nothing to do.")
            return
        user.is_operator = not undo
        user.save(update_fields=["is_operator"])
        what = "operator_taken_back" if undo else "operator_made"
        audit.note(what, kind=Kind.DECISION, who=user, why="manage.py make_operator", now=timezone.now())
        self.stdout.write(f"{address} is {'no operator any more' if undo else 'an operator: let them sign in'}.")
