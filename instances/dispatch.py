"""Sends a task once the rows are safe. A dead broker costs a click nothing: the repair sweep finds the rows."""

import logging
from typing import Protocol

from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


class Sendable(Protocol):
    name: str

    def delay(self, *args: object) -> object: ...


def send_after_commit(task: Sendable, *args: object) -> None:
    """Arguments must be plain values: what a queue loses, nobody needs."""

    def send() -> None:
        try:
            task.delay(*args)
        except (OperationalError, OSError):
            log.exception("broker unreachable: %s%r is left to the sweep", task.name, args)

    transaction.on_commit(send)
