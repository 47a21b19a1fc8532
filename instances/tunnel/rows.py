"""What the endpoint asks and tells the database: who may dial, who is there, who must go."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from credits.vault import unseal
from instances import dialing
from instances.models import MachineTunnel
from instances.states import State

# While it boots, its row may still say that AWS is being asked. Whether anybody may go in is the gateway's question.
ON = (State.LAUNCHING, State.RUNNING)
NOWHERE = {"connection": "", "inside": None, "port": None}


@dataclass(frozen=True, slots=True)
class Caller:
    """A machine that has proved who it is."""

    tunnel_id: int
    slug: str


@dataclass(frozen=True, slots=True)
class Inside:
    """Where the gateways reach a machine's notebook."""

    address: str
    port: int


def host_key() -> str:
    """In clear, for the process that answers with it."""
    return unseal(dialing.host().private_key)


def caller(slug: str, public_key: str) -> Caller | None:
    """None unless the machine is on and this is its key. The client has yet to prove that it holds the other half."""
    found = MachineTunnel.objects.filter(instance__slug=slug, instance__state__in=ON).first()
    return Caller(found.pk, slug) if found and found.public_key == public_key else None


def opened(tunnel_id: int, connection: str, place: Inside, now: datetime) -> None:
    MachineTunnel.objects.filter(pk=tunnel_id).update(
        connection=connection, inside=place.address, port=place.port, since=now, seen_at=now
    )


def closed(tunnel_id: int, connection: str) -> None:
    """Nothing, when the machine has dialled anew meanwhile."""
    if connection:
        MachineTunnel.objects.filter(pk=tunnel_id, connection=connection).update(**NOWHERE)


def standing(tunnel_ids: Collection[int]) -> dict[int, str]:
    """Of these, the machines that are on: the connection by which each is reached, empty if by none."""
    rows = MachineTunnel.objects.filter(pk__in=tunnel_ids, instance__state__in=ON)
    return dict(rows.values_list("pk", "connection"))


def confirm(connections: Collection[str], now: datetime) -> None:
    MachineTunnel.objects.filter(connection__in=connections).update(seen_at=now)


def forget(inside: str) -> int:
    """Takes off what an endpoint that died has left at this address; the number of rows."""
    return MachineTunnel.objects.filter(inside=inside).update(**NOWHERE)
