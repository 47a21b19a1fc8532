"""The simulated S3 as strict as the real one about signed addresses: time, size and checksum. moto takes anything."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import s3_backends

from cloud.sim.base_server import ACCOUNT

BUCKET = "lamplighter-homes"
_ROUTE = "AWS4-HMAC-SHA256 Credential=simulated/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


def install(region: str, folder: Path) -> None:
    """The bucket with what it held before a restart; an upload that is not there is refused as S3 does it."""
    backend = s3_backends[ACCOUNT]["aws"]
    backend.create_bucket(BUCKET, region)
    folder.mkdir(parents=True, exist_ok=True)
    for kept in folder.iterdir():
        backend.put_object(BUCKET, unquote(kept.name), kept.read_bytes())
    complete, delete = backend.complete_multipart_upload, backend.delete_object

    def strict(bucket: str, upload_id: str, body: Any) -> Any:
        if upload_id not in backend.get_bucket(bucket).multiparts:
            raise NoSuchUpload(upload_id=upload_id)
        made = complete(bucket, upload_id, body)
        if made.checksum_type == "COMPOSITE":  # S3 says of how many parts it is
            made.checksum_value, made.checksum_type = f"{made.checksum_value}-{made.checksum_parts}", ""
        _place(folder, made.name).write_bytes(made.value)
        return made

    def forgetful(bucket: str, key: str, *more: Any, **named: Any) -> Any:
        _place(folder, key).unlink(missing_ok=True)
        return delete(bucket, key, *more, **named)

    backend.complete_multipart_upload, backend.delete_object = strict, forgetful


def _place(folder: Path, key: str) -> Path:
    return folder / quote(key, safe="")


def is_signed(environ: dict[str, Any]) -> bool:
    return "X-Amz-Signature=" in environ.get("QUERY_STRING", "")


def refusal(environ: dict[str, Any], body: bytes) -> tuple[str, str] | None:
    """Code and words; None: it may pass, and is shown the way to S3."""
    asked = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    made = datetime.strptime(asked["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if datetime.now(UTC) > made + timedelta(seconds=int(asked["X-Amz-Expires"])):
        return "AccessDenied", "Request has expired"
    if environ["REQUEST_METHOD"] == "PUT":
        wanted = environ.get("HTTP_X_AMZ_CHECKSUM_SHA256", asked.get("x-amz-checksum-sha256", ""))
        if wanted != base64.b64encode(hashlib.sha256(body).digest()).decode():
            return "BadDigest", "The SHA256 you specified did not match the calculated checksum."
    environ["HTTP_AUTHORIZATION"] = _ROUTE
    return None
