"""Hold our count against the provider's now: `true_up`, or `true_up bill-00001.csv.gz …` for files of an export."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from cloud.backends import costs
from spend.cur import NotAnExport
from spend.models import Reconciliation
from spend.reconciling import reconcile_export
from spend.trueing import book_final, true_up


class Command(BaseCommand):
    help = "Compare what was charged with Cost Explorer and the data export, and book what is final."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="*", type=Path, help="all parts of one export: CSV, CSV.gz or Parquet")

    def handle(self, *args: Any, files: list[Path], **options: Any) -> None:
        now = timezone.now()
        looks = [self._read(files)] if files else true_up(costs(), now=now)
        if not looks:
            raise CommandError("No source is set: LAMPLIGHTER_COST_EXPLORER, LAMPLIGHTER_COST_EXPORT, or name files.")
        for look in looks:
            self.stdout.write(f"{look}: {look.problem or _told(look)}")
        if all(look.problem for look in looks):
            raise CommandError("The provider's figures could not be read.")

    def _read(self, files: list[Path]) -> Reconciliation:
        now = timezone.now()
        try:
            look = reconcile_export(files, name=", ".join(path.name for path in files), now=now)
        except NotAnExport as error:
            raise CommandError(str(error)) from error
        booked = book_final(look, now=now)
        self.stdout.write(f"{len(booked)} corrections booked")
        return look


def _told(look: Reconciliation) -> str:
    return f"{look.lines} lines, usage {look.usage_usd} USD, credits {look.credit_usd} USD"
