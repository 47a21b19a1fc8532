"""Tells a person's work from what an open page does by itself, and notes it on the machine's row.

For as long as a tab is open, JupyterLab asks for lists of kernels and files and writes its layout every ten
seconds, and it saves a changed notebook two minutes later by itself: that is a connection, not work.
"""

import asyncio
import logging
import re
import time

from django.db import Error as DatabaseError
from django.db.models import Q
from django.utils import timezone

from instances.gateway.database import in_database
from instances.models import Instance

log = logging.getLogger(__name__)

NOTED_SECONDS = 30.0  # one note per machine in so many seconds
_DOING = frozenset({"POST", "PATCH", "DELETE"})  # not PUT: that is how it saves by itself
_WORKPLACES = re.compile(r"^/api/(contents|kernels|terminals)([/?]|$)")  # not sessions: reloading a tab makes one
_PERSON = "/lab/extensions/lamplighter/static/notice.json?used"  # said by `agent/lab/lab.js`, of keys and clicks
_KERNEL = re.compile(r"^/api/kernels/[^/]+/channels$")
_TERMINAL = re.compile(r"^/terminals/websocket/")
_HEAD = 4096  # bytes of a message that hold its kind


def request_is_work(method: str, target: str) -> bool:
    """`target`: path and query."""
    return target == _PERSON or (method in _DOING and bool(_WORKPLACES.match(target)))


def message_is_work(path: str, message: str | bytes) -> bool:
    """Code that is run and keys that are typed; not the handshakes that a page repeats when it reconnects."""
    if _TERMINAL.match(path):
        return message[:9] in ('["stdin",', b'["stdin",')
    if not _KERNEL.match(path):
        return False
    head = message[:_HEAD]
    return ("execute_request" in head) if isinstance(head, str) else (b"execute_request" in head)


class Stamps:
    def __init__(self) -> None:
        self._noted_at: dict[int, float] = {}
        self._writing: set[asyncio.Task[None]] = set()  # the loop itself keeps no task alive

    def request(self, instance_id: int, method: str, target: str) -> None:
        if request_is_work(method, target):
            self._note(instance_id)

    def message(self, instance_id: int, path: str, message: str | bytes) -> None:
        if message_is_work(path, message):
            self._note(instance_id)

    def _note(self, instance_id: int) -> None:
        now = time.monotonic()
        if now - self._noted_at.get(instance_id, -NOTED_SECONDS) < NOTED_SECONDS:
            return
        self._noted_at[instance_id] = now
        task = asyncio.ensure_future(self._write(instance_id))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, instance_id: int) -> None:
        try:
            await in_database(_used, instance_id)
        except DatabaseError:
            log.exception("use of machine %s not noted", instance_id)


def _used(instance_id: int) -> None:
    now = timezone.now()
    older = Q(last_active_at=None) | Q(last_active_at__lt=now)
    Instance.objects.filter(older, pk=instance_id).update(last_active_at=now, last_human_at=now)
