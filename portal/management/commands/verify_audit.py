"""`manage.py verify_audit`: is the audit as it was written? Exit status 1 when it is not."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal import audit_check


class Command(BaseCommand):
    help = "Walks the audit's chain of hashes and compares it with the rows that it was read from. Changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--head",
            metavar="NUMBER:DIGEST",
            help="A head that was noted earlier (the worker's log has one per round): it must still be in the chain.",
        )

    def handle(self, *args: Any, head: str | None, **options: Any) -> None:
        found = list(audit_check.problems())
        if head:
            found += _missing(head)
        for problem in found:
            self.stderr.write(problem)
        if found:
            raise CommandError(f"{len(found)} differences: the audit, or what it was read from, was changed.")
        number, digest = audit_check.head()
        self.stdout.write(f"{number} entries, all as they were written. Head: {number}:{digest}")


def _missing(head: str) -> list[str]:
    number, _colon, digest = head.partition(":")
    if not number.isdigit() or not digest:
        raise CommandError("--head is NUMBER:DIGEST, as this command and the log write it.")
    problem = audit_check.missing_head(int(number), digest)
    return [problem] if problem else []
