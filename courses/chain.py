"""The audit's chain of hashes. Pure: no database, no settings; the key comes in.

Each entry's digest covers its own facts and the digest before it, so that one that is edited, taken out or put in
between breaks all that follow. It is keyed: who can write to the database alone cannot make a new chain.
What may have to be forgotten (an address, a person's words) is covered by a salted seal of its own: with the salt
erased the seal tells nothing, and the chain still holds.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping

START = "0" * 64  # what the first entry follows


def key_from(secret: str) -> bytes:
    """A key of the audit's own, so that no other use of the secret can be made to sign an entry."""
    return hmac.new(secret.encode(), b"lamplighter audit chain", hashlib.sha256).digest()


def digest(key: bytes, before: str, facts: Mapping[str, object]) -> str:
    return hmac.new(key, before.encode() + _canonical(facts), hashlib.sha256).hexdigest()


def seal(key: bytes, salt: str, private: Mapping[str, object]) -> str:
    return hmac.new(key, salt.encode() + _canonical(private), hashlib.sha256).hexdigest()


def _canonical(facts: Mapping[str, object]) -> bytes:
    """The same bytes for the same facts, whichever database gave them back."""
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
