"""One SSH connection to the endpoint: a machine with its own key may offer its own notebook, and nothing else.

Shells, commands, sftp, agents, X11, connections to anywhere and all other listeners are refused by `asyncssh` itself,
which lets only that through for which a class like this says yes.
"""

import asyncio
import re
from typing import TYPE_CHECKING

import asyncssh

from instances.tunnel.passage import MACHINE_SIDE, Passage
from instances.tunnel.rows import Caller

if TYPE_CHECKING:
    from instances.tunnel.keeper import Keeper

_SLUG = re.compile("[a-z0-9]{1,12}")
TRIES = 6  # keys that one connection may show; each costs a question to the database


class Door(asyncssh.SSHServer):
    def __init__(self, keeper: "Keeper") -> None:
        self.keeper = keeper
        self.caller: Caller | None = None
        self.passage: Passage | None = None
        self.peer = ""
        self.knocking = False  # counted among those who have not proved who they are
        self.written = ""  # the connection under which it stands on its machine's row
        self.over = False
        self.writing = asyncio.Lock()  # it is written down and taken off one after the other
        self._tries = 0
        self._asked = False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn
        self.peer = str((conn.get_extra_info("peername") or [""])[0])
        if not self.keeper.let_knock(self):
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.over = True
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
        self.caller = await self.keeper.caller(username, " ".join(public[:2]))
        return self.caller is not None

    def auth_completed(self) -> None:
        if self.caller and self.caller.slug == self.connection.get_extra_info("username"):
            self.keeper.came_in(self, self.caller)
        else:
            self.send_away()

    async def server_requested(self, listen_host: str, listen_port: int) -> asyncssh.SSHListener | bool:  # type: ignore[override]
        """Once, and for that one place. Where we listen for it is ours to choose."""
        if self._asked or (listen_host, listen_port) != MACHINE_SIDE:
            return False
        self._asked = True
        self.passage = Passage(self.connection)
        # Shielded: asyncssh cancels with the connection, and half-written rows would name a port that is nobody's.
        stands = await asyncio.shield(self.keeper.opened(self, self.passage))
        return self.passage if stands else False

    def send_away(self) -> None:
        """At once, whatever the other side does."""
        if self.passage:
            self.passage.close()
        asyncio.get_running_loop().call_soon(self.connection.abort)
