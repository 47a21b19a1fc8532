"""User data on its way to a machine: packed, because EC2 takes 16 KB and cloud-init unpacks what is gzip by itself."""

import gzip

MOST_BYTES = 16 * 1024  # of the packed form, before base64
_MAGIC = b"\x1f\x8b"


def packed(text: str) -> bytes:
    """The same text gives the same bytes: the time is left out, or a client token would meet other parameters."""
    return gzip.compress(text.encode(), compresslevel=9, mtime=0) if text else b""


def unpacked(content: bytes) -> str:
    return (gzip.decompress(content) if content.startswith(_MAGIC) else content).decode()
