"""Keeps the tunnels of one endpoint: one for each machine, written down, looked after, ended with the machine."""

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from typing import Any

import asyncssh
from django.db import Error as DatabaseError
from django.utils import timezone

from instances.gateway.database import in_database
from instances.gateway.doorkeeper import FRESH_SECONDS
from instances.reaching import TUNNEL_FRESH
from instances.tunnel import rows
from instances.tunnel.door import Door
from instances.tunnel.knocking import Knocking
from instances.tunnel.passage import Passage
from instances.tunnel.rows import Caller, Visitor
from instances.tunnel.visits import Visits

log = logging.getLogger(__name__)

WATCH_SECONDS = 2.0  # so long a stopped machine's tunnel still stands at most
# Gateways remember for FRESH_SECONDS where a machine is: so long its port must not become another's.
LINGER_SECONDS = FRESH_SECONDS + 3


class Keeper:
    def __init__(self, inside: str) -> None:
        self.inside = inside
        self.knocking = Knocking()
        self._doors: dict[int, Door] = {}  # by tunnel: which machine has come in
        self.visits = Visits(self)
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps no task alive

    # ------------------------------------------------------------ coming
    async def who(self, slug: str, public_key: str) -> tuple[Caller | None, Visitor | None]:
        """The machine itself, or its owner; neither for everybody else."""
        try:
            caller = await in_database(rows.caller, slug, public_key)
            return caller, None if caller else await in_database(rows.visitor, slug, public_key)
        except DatabaseError:
            log.exception("a key for %s could not be checked", slug)
            return None, None

    def came_in(self, door: Door, caller: Caller) -> None:
        """The newest of a machine is the one: an older one may be half dead, and nobody would know for a minute."""
        self.knocking.gone(door)
        old = self._doors.get(caller.tunnel_id)
        self._doors[caller.tunnel_id] = door
        if old:
            old.send_away()

    async def opened(self, door: Door, passage: Passage) -> bool:
        """Whether the machine's notebook can be reached through it from now on."""
        async with door.writing:
            caller, connection = door.caller, secrets.token_hex(16)
            if door.over or caller is None or self._doors.get(caller.tunnel_id) is not door:
                return False
            try:
                port = await passage.listen(self.inside)
                place = rows.Inside(self.inside, port)
                await in_database(rows.opened, caller.tunnel_id, connection, place, timezone.now())
            except (OSError, DatabaseError):
                log.exception("the tunnel of %s could not be written down", caller.slug)
                door.send_away()
                return False
            door.written = connection
        log.info("%s has dialled in from %s", caller.slug, door.peer)
        return True

    def machine(self, tunnel_id: int) -> asyncssh.SSHServerConnection | None:
        """The connection of a machine that has dialled in here."""
        door = self._doors.get(tunnel_id)
        return door.connection if door else None

    # ------------------------------------------------------------ going
    def gone(self, door: Door) -> None:
        self.knocking.gone(door)
        self.visits.gone(door)
        if door.caller and self._doors.get(door.caller.tunnel_id) is door:
            del self._doors[door.caller.tunnel_id]
            log.info("%s is gone", door.caller.slug)
        if door.caller and door.passage:
            self.later(self._end(door, door.caller, door.passage))

    async def _end(self, door: Door, caller: Caller, passage: Passage) -> None:
        """First off the row, then long enough for every gateway to hear of it, and only then the port is free."""
        passage.close()
        linger = LINGER_SECONDS
        async with door.writing:
            try:
                await in_database(rows.closed, caller.tunnel_id, door.written)
            except DatabaseError:
                log.exception("the end of %s could not be written down", caller.slug)
                linger += TUNNEL_FRESH.total_seconds()  # nobody confirms it: so long it counts
        await asyncio.sleep(linger)
        passage.leave()

    def later(self, what: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------ looking after
    async def watch(self) -> None:
        """For ever: whose machine is off, or has dialled in elsewhere, goes; the others are confirmed."""
        while True:
            try:
                await self._look()
                await self.visits.look()
            except DatabaseError:
                log.warning("tunnels not looked after: the database does not answer")
            await asyncio.sleep(WATCH_SECONDS)

    async def _look(self) -> None:
        doors = [(tunnel_id, door, door.written) for tunnel_id, door in self._doors.items()]
        if not doors:
            return
        on = await in_database(rows.standing, [tunnel_id for tunnel_id, _door, _written in doors])
        for tunnel_id, door, written in doors:
            if tunnel_id not in on or (written and on[tunnel_id] != written):
                log.info("%s is off, or elsewhere: its tunnel is closed", door.caller and door.caller.slug)
                door.send_away()
        await in_database(rows.confirm, [written for _id, _door, written in doors if written], timezone.now())

    async def close(self) -> None:
        """Takes all that stands off the rows, so that no gateway goes to a port that is nobody's."""
        for door in list(self._doors.values()):
            door.send_away()
        await self.visits.close()
        try:
            await in_database(rows.forget, self.inside)
        except DatabaseError:
            log.exception("the rows still name tunnels; they count for half a minute")
