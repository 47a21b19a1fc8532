"""Where a machine's notebook is reached from inside: at its private address, or at the end of its tunnel."""

from datetime import datetime, timedelta

from instances.models import Instance, MachineTunnel

NOTEBOOK_PORT = 8888  # on every machine; open to the gateway only
# An endpoint that died tells nobody, and its ports may soon be another machine's: what is not confirmed is not there.
TUNNEL_FRESH = timedelta(seconds=30)


def notebook_at(machine: Instance, now: datetime) -> str | None:
    """`host:port`, or None: it has no address (yet), or should dial out and does not. `tunnel` is best joined."""
    tunnel: MachineTunnel | None = getattr(machine, "tunnel", None)
    if tunnel is None:
        return _joined(machine.private_ip, NOTEBOOK_PORT) if machine.private_ip else None
    stands = tunnel.inside and tunnel.port and tunnel.seen_at and now - tunnel.seen_at < TUNNEL_FRESH
    return _joined(str(tunnel.inside), tunnel.port or 0) if stands else None


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
