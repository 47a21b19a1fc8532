"""S3: uploads in parts and downloads, both by presigned addresses. Only below one prefix of one bucket."""

from collections.abc import Sequence
from typing import Any

import boto3
from botocore.config import Config

from cloud.base import NotFound
from cloud.ec2_errors import our_words
from cloud.files import Part, Signed, Stored, Upload


class AwsFiles:
    def __init__(
        self,
        *,
        region: str,
        endpoint_url: str | None,
        bucket: str,
        installation: str,
        session: boto3.session.Session | None = None,
    ) -> None:
        config = Config(
            connect_timeout=5,
            read_timeout=60,  # putting thousands of parts together takes S3 a while
            retries={"mode": "standard", "total_max_attempts": 2},
            signature_version="s3v4",
            s3={"addressing_style": "path" if endpoint_url else "virtual"},
            request_checksum_calculation="when_required",  # a signed address names the one checksum that we want
        )
        made = session or boto3.session.Session(region_name=region)
        self._s3 = made.client("s3", region_name=region, endpoint_url=endpoint_url, config=config)
        self._bucket = bucket
        self._prefix = f"homes/{installation}/"

    def begin(self, key: str) -> str:
        with our_words():
            made = self._s3.create_multipart_upload(
                **self._at(key), ChecksumAlgorithm="SHA256", ChecksumType="COMPOSITE"
            )
        return str(made["UploadId"])

    def part_url(self, key: str, upload_id: str, number: int, *, size: int, sha256: str, seconds: int) -> Signed:
        asked = self._at(key) | {"UploadId": upload_id, "PartNumber": number}
        asked |= {"ContentLength": size, "ChecksumSHA256": sha256}
        with our_words():
            url = self._s3.generate_presigned_url("upload_part", Params=asked, ExpiresIn=seconds)
        return Signed(url, {"Content-Length": str(size), "x-amz-checksum-sha256": sha256})

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        told = [{"PartNumber": one.number, "ETag": one.etag, "ChecksumSHA256": one.sha256} for one in parts]
        with our_words():
            self._s3.complete_multipart_upload(**self._at(key), UploadId=upload_id, MultipartUpload={"Parts": told})

    def look(self, key: str) -> Stored | None:
        try:
            with our_words():
                told = self._s3.head_object(**self._at(key), ChecksumMode="ENABLED")
        except NotFound:
            return None
        return Stored(int(told["ContentLength"]), str(told.get("ChecksumSHA256", "")))

    def abort(self, key: str, upload_id: str) -> None:
        try:
            with our_words():
                self._s3.abort_multipart_upload(**self._at(key), UploadId=upload_id)
        except NotFound:
            return

    def uploads(self) -> list[Upload]:
        with our_words():
            pages = self._s3.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=self._prefix)
            told: list[dict[str, Any]] = [one for page in pages for one in page.get("Uploads", [])]
        return [
            Upload(one["Key"].removeprefix(self._prefix), one["UploadId"], one["Initiated"])
            for one in told
            if one["Key"].startswith(self._prefix)
        ]

    def download_url(self, key: str, *, name: str, seconds: int) -> str:
        asked = self._at(key) | {"ResponseContentDisposition": f'attachment; filename="{name}"'}
        with our_words():
            return str(self._s3.generate_presigned_url("get_object", Params=asked, ExpiresIn=seconds))

    def delete(self, key: str) -> None:
        with our_words():
            self._s3.delete_object(**self._at(key))

    def _at(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}
