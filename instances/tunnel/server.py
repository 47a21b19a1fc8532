"""The SSH server of the endpoint, with everything switched off that no machine needs."""

import asyncio
import logging
import signal

import asyncssh

from instances.gateway.database import in_database
from instances.gateway.doorkeeper import FRESH_SECONDS
from instances.tunnel import rows
from instances.tunnel.door import Door
from instances.tunnel.keeper import Keeper

log = logging.getLogger(__name__)

LOGIN_SECONDS = 10  # to prove who one is
KEEPALIVE_SECONDS, KEEPALIVE_MISSED = 10, 3  # a machine that was cut off sends no goodbye


async def serve(listen: str, inside: str) -> None:
    """Until SIGTERM or SIGINT. `listen` is `host:port`, `inside` the address that the gateways reach."""
    host, _colon, port = listen.rpartition(":")
    key = asyncssh.import_private_key(await in_database(rows.host_key))
    if await in_database(rows.forget, inside):
        await asyncio.sleep(FRESH_SECONDS)  # until no gateway remembers a port of the endpoint that was here before
    keeper = Keeper(inside)
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    server = await _server(keeper, key, host.strip("[]"), int(port))
    watch = asyncio.ensure_future(keeper.watch())
    log.info("machines may dial in at %s", listen)
    try:
        await over.wait()
    finally:
        watch.cancel()
        server.close()
        await keeper.close()


async def _server(keeper: Keeper, key: asyncssh.SSHKey, host: str, port: int) -> asyncssh.SSHAcceptor:
    return await asyncssh.create_server(
        lambda: Door(keeper),
        host,
        port,
        config=None,
        server_host_keys=[key],
        server_version="Lamplighter",
        login_timeout=LOGIN_SECONDS,
        keepalive_interval=KEEPALIVE_SECONDS,
        keepalive_count_max=KEEPALIVE_MISSED,
        public_key_auth=True,
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
        gss_kex=False,
        gss_auth=False,
        allow_pty=False,
        agent_forwarding=False,
        x11_forwarding=False,
        allow_scp=False,
        line_editor=False,
        compression_algs=None,
        encoding=None,
    )
