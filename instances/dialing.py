"""Whether a course's machines dial out, and what such a machine is told. Opens no connection: `tunnel/` does."""

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.conf import settings

from courses.models import Course
from credits.vault import seal, unseal
from instances.models import Instance, MachineTunnel, TunnelHost

ALIAS = "lamplighter-tunnel"  # what the endpoint's key is kept under on a machine, whatever its address is
FOLDER = "/etc/lamplighter/tunnel"
EVERY_COURSE = "*"


def dials_out(course: Course) -> bool:
    return bool({course.slug, EVERY_COURSE} & set(settings.DIAL_OUT))


def prepare(machine: Instance) -> None:
    """In the transaction of a new machine's row. What is frozen here, user data repeats for each attempt."""
    if not dials_out(machine.course) and not (machine.account and machine.account.dials_out):
        return
    private, public = _new_pair()
    MachineTunnel.objects.create(
        instance=machine,
        public_key=public,
        private_key=seal(private),
        endpoint=settings.TUNNEL_ADDRESS,
        host_key=host().public_key,
    )


def host() -> TunnelHost:
    """The endpoint's key, made by whoever asks first."""
    found = TunnelHost.objects.first()
    if found is None:
        private, public = _new_pair()
        found, _made = TunnelHost.objects.get_or_create(
            name="endpoint", defaults={"public_key": public, "private_key": seal(private)}
        )
    return found


def files_for(machine: Instance) -> Mapping[str, str]:
    """Path and text of what only a machine that dials out is told; none for the others."""
    tunnel: MachineTunnel | None = getattr(machine, "tunnel", None)
    if tunnel is None:
        return {}
    address, _colon, port = tunnel.endpoint.rpartition(":")
    where = {"TUNNEL_SLUG": machine.slug, "TUNNEL_HOST": address.strip("[]"), "TUNNEL_PORT": port}
    return {
        f"{FOLDER}/key": unseal(tunnel.private_key),
        f"{FOLDER}/known_hosts": f"{ALIAS} {tunnel.host_key}\n",
        f"{FOLDER}/where": "".join(f"{name}={value}\n" for name, value in where.items()),
    }


def _new_pair() -> tuple[str, str]:
    """Private and public half, as OpenSSH writes them."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return private.decode(), key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
