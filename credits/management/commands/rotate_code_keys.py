"""`manage.py rotate_code_keys`: every code under the newest of LAMPLIGHTER_CODE_KEYS, so that an old key can go."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from credits.rotation import Rotated, rotate_codes


class Command(BaseCommand):
    help = "Seals all AWS codes anew with the newest key. Safe to break off and to say again, also while people claim."

    def handle(self, *args: Any, **options: Any) -> None:
        done = rotate_codes(self._tell)
        self.stdout.write(f"{done.resealed} codes sealed anew, {done.current} were under the newest key already.")
        self.stdout.write(
            "Machines' own secrets are not part of this: keep the old key until the machines of today are deleted."
        )
        if done.unreadable:
            raise CommandError(f"No key of LAMPLIGHTER_CODE_KEYS opens {done.unreadable} codes: put their own back in.")

    def _tell(self, done: Rotated) -> None:
        self.stdout.write(f"{done.resealed + done.current + done.unreadable} looked at ...")
