"""Files of students on their way home: a bucket that machines and browsers reach by signed addresses. Knows no AWS."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

LEAST_PART = 5 * 2**20  # bytes; only the last part may be smaller
MOST_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class Part:
    """One that is there, as its sender says: the bucket compares both when the whole is put together."""

    number: int  # from 1
    etag: str
    sha256: str  # base64


@dataclass(frozen=True, slots=True)
class Signed:
    """Whoever has the address may do this one thing for a while; `headers` must come along unchanged."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stored:
    size: int  # bytes
    checksum: str  # of all parts' checksums; empty where the bucket tells none


@dataclass(frozen=True, slots=True)
class Upload:
    """One that is neither put together nor given up: its parts cost money, and nobody sees them."""

    key: str
    upload_id: str
    began_at: datetime


class Files(Protocol):
    """Every method raises CloudError. Keys are ours alone: what lies beside them in the bucket is never touched."""

    def begin(self, key: str) -> str:
        """A new upload's id. Asked again it is another upload."""
        ...

    def part_url(self, key: str, upload_id: str, number: int, *, size: int, sha256: str, seconds: int) -> Signed:
        """For exactly these bytes (`sha256` in base64). Asks nobody."""
        ...

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Puts the object together. Said again it is done already, or raises NotFound: then `look` knows more."""
        ...

    def look(self, key: str) -> Stored | None: ...

    def abort(self, key: str, upload_id: str) -> None:
        """Its parts are gone. Said twice, or too late, it is no error."""
        ...

    def uploads(self) -> list[Upload]: ...

    def download_url(self, key: str, *, name: str, seconds: int) -> str:
        """`name`: what the browser calls the file. Asks nobody."""
        ...

    def delete(self, key: str) -> None:
        """Said twice it is no error."""
        ...


def checksum_of(parts: Sequence[Part]) -> str:
    """What the bucket says of an object that was put together from these."""
    together = hashlib.sha256(b"".join(base64.b64decode(part.sha256) for part in parts)).digest()
    return f"{base64.b64encode(together).decode()}-{len(parts)}"
