"""What the endpoint asks and tells the database: who may dial, who is there, who must go."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from courses.audit import Kind, note
from courses.models import EnrollmentStatus
from credits.vault import unseal
from instances import dialing
from instances.models import Instance, MachineTunnel, SshKey
from instances.ssh_access import refusal
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
class Visitor:
    """A person who has proved to hold a key of theirs, at the way to a machine of theirs."""

    key_id: int
    slug: str
    user_id: int
    tunnel_id: int | None  # of a machine that dials out: there is no other way to it
    private_ip: str
    refusal: str  # why they cannot be passed on now; empty: they can


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


def visitor(slug: str, public_key: str) -> Visitor | None:
    """None unless the key is of the machine's owner, who is in the course, which lets people in by SSH."""
    if not settings.SSH_ADDRESS:  # switched off for the whole installation
        return None
    machine = (
        Instance.objects.filter(
            slug=slug,
            course__ssh__on=True,
            owner__status=EnrollmentStatus.ACTIVE,
            owner__user__is_active=True,
        )
        .select_related("owner", "tunnel")
        .first()
    )
    if machine is None:
        return None
    key = SshKey.objects.filter(user=machine.owner.user_id, public_key=public_key).first()
    if key is None:
        return None
    tunnel: MachineTunnel | None = getattr(machine, "tunnel", None)
    where = str(machine.private_ip or "")
    return Visitor(key.pk, slug, key.user_id, tunnel.pk if tunnel else None, where, refusal(machine))


def still_welcome(slugs: Collection[str]) -> set[tuple[str, int]]:
    """Machine and key of all who may be connected to these machines at this moment."""
    if not settings.SSH_ADDRESS:
        return set()
    machines = Instance.objects.filter(
        slug__in=slugs,
        state=State.RUNNING,
        course__ssh__on=True,
        owner__status=EnrollmentStatus.ACTIVE,
        owner__user__is_active=True,
    )
    return set(machines.values_list("slug", "owner__user__ssh_keys__pk"))


def visit_began(visitor: Visitor, address: str, now: datetime) -> None:
    SshKey.objects.filter(pk=visitor.key_id).update(last_used_at=now)
    _note_visit("ssh_opened", visitor, address, now, {"since": now.isoformat()})


def visit_over(visitor: Visitor, address: str, since: datetime, now: datetime) -> None:
    _note_visit("ssh_closed", visitor, address, now, {"since": since.isoformat(), "until": now.isoformat()})


def _note_visit(what: str, visitor: Visitor, address: str, now: datetime, times: dict[str, str]) -> None:
    owner = Instance.objects.select_related("owner__course", "owner__user").get(slug=visitor.slug).owner
    facts = {"machine": visitor.slug, **times}
    note(what, kind=Kind.MACHINE, who=owner.user, about=owner, address=address or None, now=now, facts=facts)


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
