"""`manage.py refresh_prices [types…]`: reads AWS's price list now. The worker does so by itself once a week."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from cloud.backends import cloud
from cloud.prices import known_types
from instances.pricing import refresh


class Command(BaseCommand):
    help = "Read on-demand prices from AWS's price list: of the types named, else of all that are known."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("types", nargs="*", help="instance types, as g4dn.xlarge")

    def handle(self, *_args: Any, **options: Any) -> None:
        found = refresh(options["types"] or known_types(), cloud=cloud(), now=timezone.now())
        for name, (before, after) in found.changed.items():
            self.stdout.write(f"{name}: {'unknown' if before is None else before} → {after}")
        for word, names in (("not in the list", found.unknown), ("in doubt, not taken", found.doubtful)):
            if names:
                self.stdout.write(f"{word}: {', '.join(names)}")
        if found.unanswered:
            raise CommandError(f"AWS did not answer for {', '.join(found.unanswered)}: try again.")
        self.stdout.write(f"{len(found.changed)} changed.")
