"""One SSH connection to the endpoint: a machine with its own key may offer its own notebook, a person with theirs may
be passed on to their own running machine, and nothing else.

Shells, commands, sftp, agents, X11, connections to anywhere and all other listeners are refused by `asyncssh` itself,
which lets only that through for which a class like this says yes.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import asyncssh

from instances.ssh_access import LOGIN
from instances.tunnel.flow import Flow
from instances.tunnel.passage import MACHINE_SIDE, WINDOW, Passage
from instances.tunnel.rows import Caller, Visitor
from instances.tunnel.visits import SSH_SIDE

if TYPE_CHECKING:
    PassOn = Callable[[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]], Awaitable[None]]

    from instances.tunnel.keeper import Keeper

_SLUG = re.compile("[a-z0-9]{1,12}")
CHANNELS_EACH = 10  # of one person's connection
_BUSY = "Too many at once, or in one minute. Wait a moment, or let one connection do more (ControlMaster)."
TRIES = 6  # keys that one connection may show; each costs a question to the database


class Door(asyncssh.SSHServer):
    def __init__(self, keeper: "Keeper") -> None:
        self.keeper = keeper
        self.caller: Caller | None = None
        self.visitor: Visitor | None = None
        self.passage: Passage | None = None
        self.peer = ""
        self.written = ""  # the connection under which it stands on its machine's row
        self.over = False
        self.looked_at = False
        self.writing = asyncio.Lock()  # it is written down and taken off one after the other
        self._tries = 0
        self._channels = 0  # of a person, that either side has not closed yet
        self._asked: set[tuple[str, int]] = set()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn
        self.flow = Flow(conn)
        self.peer = str((conn.get_extra_info("peername") or [""])[0])
        self.keeper.knocking.came(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.over = True
        self.flow.over()
        self.keeper.gone(self)

    def begin_auth(self, username: str) -> bool:
        return True  # there is nobody who need not prove who they are

    def public_key_auth_supported(self) -> bool:
        return True

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self._tries += 1
        if self._tries > TRIES or not _SLUG.fullmatch(username):
            return False
        public = key.export_public_key("openssh").decode().split()
        with self.flow.asking():
            self.caller, self.visitor = await self.keeper.who(username, " ".join(public[:2]))
        return bool(self.caller or self.visitor)

    def auth_completed(self) -> None:
        self.flow.known = True
        name = self.connection.get_extra_info("username")
        if self.caller and self.caller.slug == name:
            self.keeper.came_in(self, self.caller)
        elif self.visitor and self.visitor.slug == name:
            self.keeper.visits.came_in(self)
        else:
            self.send_away()

    # ------------------------------------------------------------ a person
    def session_requested(self) -> bool:
        if self.visitor:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, _how(self.visitor))
        return False

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> "tuple[asyncssh.SSHTCPChannel[bytes], PassOn] | bool":
        """To the SSH server of that one machine, which asks for the key once more. We cannot read what passes."""
        if self.visitor is None:
            return False
        said = self.visitor.refusal or ("" if (dest_host, dest_port) == (self.visitor.slug, 22) else _how(self.visitor))
        if said:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, said)
        if self._channels >= CHANNELS_EACH or not self.keeper.visits.may_begin(self.visitor):
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, _BUSY)
        channel = self.connection.create_tcp_channel(window=WINDOW)
        self._channels += 1
        self.keeper.later(self._until_closed(channel))
        return channel, partial(self.keeper.visits.pass_on, self, self.visitor)

    async def _until_closed(self, channel: "asyncssh.SSHTCPChannel[bytes]") -> None:
        """By both sides: one that we have closed and they have not still takes memory."""
        await channel.wait_closed()
        self._channels -= 1

    # ------------------------------------------------------------ a machine

    async def server_requested(self, listen_host: str, listen_port: int) -> asyncssh.SSHListener | bool:  # type: ignore[override]
        """Each once, for two places. Where we listen for the notebook is ours to choose; for SSH nobody listens."""
        place = (listen_host, listen_port)
        if self.caller is None or place in self._asked or place not in (MACHINE_SIDE, SSH_SIDE):
            return False
        self._asked.add(place)
        if place == SSH_SIDE:
            return asyncssh.SSHListener()
        self.passage = Passage(self.connection)
        # Shielded: asyncssh cancels with the connection, and half-written rows would name a port that is nobody's.
        with self.flow.asking():
            stands = await asyncio.shield(self.keeper.opened(self, self.passage))
        return self.passage if stands else False

    def send_away(self) -> None:
        """At once, whatever the other side does."""
        if self.passage:
            self.passage.close()
        asyncio.get_running_loop().call_soon(self.connection.abort)


def _how(visitor: Visitor) -> str:
    return f"This door only leads on: ssh -J {visitor.slug}@this-host {LOGIN}@{visitor.slug}"
