"""The rights to students' files: each call is allowed, none is unused, and nothing beside our prefix is in reach."""

import base64
import hashlib
import json
import urllib.request

from cloud.aws_files import AwsFiles
from cloud.files import Files, Part
from tests.iam.asked import Ear
from tests.iam.policy import Policy, Request
from tests.iam.test_rights import IAM, Witness, methods
from tests.simulated_aws import SimulatedAws, aws_credentials, sim, simulated_aws

__all__ = ["aws_credentials", "sim", "simulated_aws"]


def rights(bucket: str) -> Policy:
    return Policy(json.loads((IAM / "homes-policy.json").read_text().replace("YOUR-HOMES-BUCKET", bucket)))


def ask_everything(files: Files) -> None:
    content, upload = b"here", files.begin("one")
    sha256 = base64.b64encode(hashlib.sha256(content).digest()).decode()
    signed = files.part_url("one", upload, 1, size=len(content), sha256=sha256, seconds=60)
    headers = {"Content-Type": "application/gzip", **signed.headers}
    request = urllib.request.Request(signed.url, content, headers, method="PUT")
    with urllib.request.urlopen(request, timeout=20) as answer:
        part = Part(1, answer.headers["ETag"], sha256)
    files.complete("one", upload, [part])
    files.look("one")
    files.download_url("one", name="one", seconds=60)
    files.delete("one")
    files.abort("two", files.begin("two"))
    files.uploads()


def test_no_right_is_missing_and_none_is_unused(sim: SimulatedAws) -> None:
    ear, used = Ear(), set[str]()
    bucket = sim.network["bucket"]
    real = AwsFiles(
        region="us-east-1", endpoint_url=sim.url, bucket=bucket, installation="lamplighter", session=ear.session
    )
    ask_everything(Witness(real, used))  # type: ignore[arg-type]
    assert methods(Files) <= used
    granted = {grant for request in ear.requests() for grant in rights(bucket).judge(request)}
    assert [str(one) for one in ear.requests() if not rights(bucket).judge(one)] == []
    assert {(one.sid, one.action) for one in rights(bucket).grants()} == {(one.sid, one.action) for one in granted}


def test_what_lies_beside_our_prefix_is_out_of_reach() -> None:
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
        assert rights("b").judge(Request(action, "arn:aws:s3:::b/homes/lamplighter/1/x.tar.gz"))
        assert not rights("b").judge(Request(action, "arn:aws:s3:::b/homes/another/1/x.tar.gz"))
        assert not rights("b").judge(Request(action, "arn:aws:s3:::another/homes/lamplighter/1/x.tar.gz"))
    assert not rights("b").judge(Request("s3:PutBucketPolicy", "arn:aws:s3:::b"))
