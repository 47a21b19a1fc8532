"""`manage.py rotate_code_keys`: every secret under the newest of LAMPLIGHTER_CODE_KEYS, so that an old key can go."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from courses import second_factor
from credits.rotation import Rotated, rotate
from portal.sealed import COLUMNS


class Command(BaseCommand):
    help = "Seals every secret anew with the newest key. Safe to break off and to say again, also while people work."

    def handle(self, *args: Any, **options: Any) -> None:
        lost = 0
        for what, every, column in COLUMNS:
            done = rotate(every.all(), column, self._tell)
            lost += done.unreadable
            self.stdout.write(f"{what}: {done.resealed} sealed anew, {done.current} under the newest key already.")
        sealed, unreadable = second_factor.seal_anew()
        lost += unreadable
        self.stdout.write(f"second factors: {sealed} sealed anew.")
        if lost:
            raise CommandError(f"No key of LAMPLIGHTER_CODE_KEYS opens {lost} of them: put their own back in.")

    def _tell(self, done: Rotated) -> None:
        self.stdout.write(f"{done.resealed + done.current + done.unreadable} looked at ...")
