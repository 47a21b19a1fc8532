"""Twin of `AwsFiles` in memory: the same refusals, and it breaks on command. `put` is what a machine does."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cloud.base import NotFound, Refused
from cloud.fake_faults import Faults
from cloud.files import LEAST_PART, Part, Signed, Stored, Upload, checksum_of


@dataclass(slots=True)
class FakeUpload:
    key: str
    began_at: datetime
    parts: dict[int, bytes] = field(default_factory=dict)


class FakeFiles:
    """`objects` and `unfinished` are the truth: everything that costs money."""

    def __init__(self, clock: Callable[[], datetime], *, least_part: int = LEAST_PART) -> None:
        self.faults = Faults()
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.unfinished: dict[str, FakeUpload] = {}
        self._clock = clock
        self._least = least_part
        self._made = 0
        self._signed: dict[str, tuple[datetime, str, int, Mapping[str, str]]] = {}

    # -------------------------------------------------------------- the protocol
    def begin(self, key: str) -> str:
        return self.faults.around("begin", (key,), lambda: self._begin(key))

    def part_url(self, key: str, upload_id: str, number: int, *, size: int, sha256: str, seconds: int) -> Signed:
        headers = {"Content-Length": str(size), "x-amz-checksum-sha256": sha256}
        url = f"fake://{key}?upload={upload_id}&part={number}&sum={sha256}"
        self._signed[url] = (self._clock() + timedelta(seconds=seconds), upload_id, number, headers)
        return Signed(url, headers)

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        self.faults.around("complete", (key,), lambda: self._complete(key, upload_id, parts))

    def look(self, key: str) -> Stored | None:
        def told() -> Stored | None:
            found = self.objects.get(key)
            return Stored(len(found[0]), found[1]) if found else None

        return self.faults.around("look", (key,), told)

    def abort(self, key: str, upload_id: str) -> None:
        self.faults.around("abort", (key,), lambda: self.unfinished.pop(upload_id, None))

    def uploads(self) -> list[Upload]:
        def told() -> list[Upload]:
            return [Upload(one.key, name, one.began_at) for name, one in self.unfinished.items()]

        return self.faults.around("uploads", (), told)

    def download_url(self, key: str, *, name: str, seconds: int) -> str:
        return f"fake://{key}?name={name}&seconds={seconds}"

    def delete(self, key: str) -> None:
        self.faults.around("delete", (key,), lambda: self.objects.pop(key, None))

    # -------------------------------------------------------------- how it works
    def _begin(self, key: str) -> str:
        self._made += 1
        self.unfinished[f"u{self._made}"] = FakeUpload(key, self._clock())
        return f"u{self._made}"

    def _complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        upload = self._there(upload_id)
        for part in parts:
            if _part(part.number, upload.parts.get(part.number, b"")) != part:
                raise Refused(f"part {part.number} is not the one that was sent", code="InvalidPart")
        if any(len(upload.parts[part.number]) < self._least for part in parts[:-1]):
            raise Refused("a part is too small", code="EntityTooSmall")
        content = b"".join(upload.parts[part.number] for part in parts)
        self.objects[key] = content, checksum_of(parts)
        del self.unfinished[upload_id]

    def _there(self, upload_id: str) -> FakeUpload:
        if upload_id not in self.unfinished:
            raise NotFound("The specified upload does not exist.", code="NoSuchUpload")
        return self.unfinished[upload_id]

    def put(self, signed: Signed, content: bytes) -> Part:
        """Raises Refused as the bucket would, for other bytes than the signed ones, and after the time is over."""
        until, upload_id, number, headers = self._signed.get(signed.url, (self._clock(), "", 0, {}))
        part = _part(number, content)
        if until <= self._clock():
            raise Refused("Request has expired", code="AccessDenied")
        if str(len(content)) != headers["Content-Length"] or part.sha256 != headers["x-amz-checksum-sha256"]:
            raise Refused("The checksum is another one.", code="BadDigest")
        self._there(upload_id).parts[number] = content
        return part


def _part(number: int, content: bytes) -> Part:
    sha256 = base64.b64encode(hashlib.sha256(content).digest()).decode()
    return Part(number, f'"{hashlib.md5(content).hexdigest()}"', sha256)  # noqa: S324 - S3's own
