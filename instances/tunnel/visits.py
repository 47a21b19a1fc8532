"""People on their way through the endpoint to their own machines: passed on, looked after, written down, sent away."""

import asyncio
import logging
import time
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncssh
from django.db import Error as DatabaseError
from django.utils import timezone

from instances.gateway.database import in_database
from instances.tunnel import rows
from instances.tunnel.passage import WINDOW, join
from instances.tunnel.rows import Visitor

if TYPE_CHECKING:
    from instances.tunnel.door import Door
    from instances.tunnel.keeper import Keeper

log = logging.getLogger(__name__)

SSH_PORT = 22
SSH_SIDE = ("localhost", SSH_PORT)  # as `ssh -R 22:…` of a machine that dials out asks for it
CONNECTIONS_EACH = 5  # of one person
A_MINUTE = 60  # connections to a machine that one person may begin: each leaves two rows
CONNECT_SECONDS = 10
CLOSE_SECONDS = 5


class Visits:
    def __init__(self, keeper: "Keeper") -> None:
        self._keeper = keeper
        self._doors: set[Door] = set()
        self._passing = 0
        self._begun: dict[int, deque[float]] = {}  # by person: when, in the last minute
        self._writing: set[asyncio.Task[None]] = set()  # the ends that are being written down

    def came_in(self, door: "Door") -> None:
        self._keeper.knocking.gone(door)
        if sum(_user(one) == _user(door) for one in self._doors) >= CONNECTIONS_EACH:
            door.send_away()
        else:
            self._doors.add(door)

    def gone(self, door: "Door") -> None:
        self._doors.discard(door)

    def may_begin(self, visitor: Visitor) -> bool:
        """Counts it."""
        now = time.monotonic()
        for user, times in list(self._begun.items()):
            while times and times[0] < now - 60:
                times.popleft()
            if not times:
                del self._begun[user]
        mine = self._begun.setdefault(visitor.user_id, deque())
        if len(mine) >= A_MINUTE:
            return False
        mine.append(now)
        return True

    async def pass_on(
        self,
        door: "Door",
        visitor: Visitor,
        reader: "asyncssh.SSHReader[bytes]",
        writer: "asyncssh.SSHWriter[bytes]",
    ) -> None:
        """From the first byte to the last, and a row for each. What cannot be written down does not begin."""
        self._passing += 1
        since = timezone.now()
        # On their own: this task is cancelled with its connection, and what began must end in the rows, too.
        began = asyncio.ensure_future(in_database(rows.visit_began, visitor, door.peer, since))
        try:
            await asyncio.shield(began)
            await self._join(visitor, reader, writer)
        except DatabaseError:
            log.exception("an SSH connection to %s could not be written down", visitor.slug)
        except (asyncssh.Error, OSError, TimeoutError) as error:
            log.info("SSH to %s: %s", visitor.slug, type(error).__name__)
        finally:
            writer.close()
            over = asyncio.ensure_future(self._over(door, visitor, since, began))
            self._writing.add(over)
            over.add_done_callback(self._writing.discard)
            self._passing -= 1

    async def _over(self, door: "Door", visitor: Visitor, since: datetime, began: "asyncio.Future[None]") -> None:
        try:
            await began
            await in_database(rows.visit_over, visitor, door.peer, since, timezone.now())
        except DatabaseError:
            log.exception("the end of an SSH connection to %s is not written down", visitor.slug)

    async def _join(
        self, visitor: Visitor, reader: "asyncssh.SSHReader[bytes]", writer: "asyncssh.SSHWriter[bytes]"
    ) -> None:
        far_reader, far_writer = await asyncio.wait_for(self._machine(visitor), CONNECT_SECONDS)
        try:
            await join(reader, writer, far_reader, far_writer)
        finally:
            far_writer.close()

    async def _machine(self, visitor: Visitor) -> tuple[Any, Any]:
        """Both ends of the machine's SSH server. Raises OSError or asyncssh.Error."""
        if visitor.tunnel_id is None:
            return await asyncio.open_connection(visitor.private_ip, SSH_PORT)
        machine = self._keeper.machine(visitor.tunnel_id)
        if machine is None:  # not yet, or at another endpoint
            raise ConnectionRefusedError
        return await machine.open_connection(*SSH_SIDE, encoding=None, window=WINDOW)

    async def close(self) -> None:
        """Everybody goes, and the end of each is written down."""
        for door in list(self._doors):
            door.send_away()
        deadline = time.monotonic() + CLOSE_SECONDS
        while (self._passing or self._writing) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)

    async def look(self) -> None:
        """Whose machine is off, whose key was removed, who left the course, goes."""
        doors = [(door, door.visitor) for door in self._doors if door.visitor]
        if not doors:
            return
        welcome = await in_database(rows.still_welcome, {visitor.slug for _door, visitor in doors})
        for door, visitor in doors:
            if visitor.refusal and not door.looked_at:  # once more, so that it has read why
                door.looked_at = True
            elif visitor.refusal or (visitor.slug, visitor.key_id) not in welcome:
                log.info("%s is off, or its visitor is no longer welcome", visitor.slug)
                door.send_away()


def _user(door: "Door") -> int:
    return door.visitor.user_id if door.visitor else 0
