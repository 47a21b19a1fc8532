"""Reads what somebody pasted as their public SSH key. Pure: knows no person and no database."""

import base64
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key

KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
RSA_BITS = 3072
LONGEST = 2000  # characters; RSA of 8192 bits has 1400
NAME_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Parsed:
    public_key: str
    fingerprint: str
    name: str


class BadKey(Exception):
    """`args[0]` says what is wrong: "private", "lines", "kind", "broken" or "short"."""


def parse(text: str) -> Parsed:
    """One line of an .pub file. Raises BadKey."""
    text = text.strip()
    if "PRIVATE KEY" in text:
        raise BadKey("private")
    if len(text.splitlines()) != 1 or len(text) > LONGEST:
        raise BadKey("lines")
    kind, _space, rest = text.partition(" ")
    blob, _space, name = rest.strip().partition(" ")
    if kind not in KINDS:
        raise BadKey("kind")
    public = _canonical(f"{kind} {blob}")
    digest = base64.b64encode(hashlib.sha256(base64.b64decode(public.split()[1])).digest()).decode().rstrip("=")
    printable = "".join(letter for letter in name if letter.isprintable()).strip()
    return Parsed(public, f"SHA256:{digest}", printable[:NAME_LONGEST])


def _canonical(text: str) -> str:
    """As OpenSSH writes it, whatever spare bytes were in what was pasted."""
    try:
        key = load_ssh_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey("broken") from error
    if isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS:
        raise BadKey("short")
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
