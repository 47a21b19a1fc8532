"""The bucket for students' files, in memory and over the wire: what is signed, what is refused, what is said twice."""

import base64
import hashlib
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloud.aws_files import AwsFiles
from cloud.base import CloudError, NotFound, Refused, Transient
from cloud.fake_files import FakeFiles
from cloud.files import LEAST_PART, Files, Part, Signed, checksum_of
from tests.simulated_aws import SimulatedAws, aws_credentials, sim, simulated_aws

__all__ = ["aws_credentials", "sim", "simulated_aws"]
FULL = b"x" * LEAST_PART


@dataclass
class Stage:
    files: Files
    put: Callable[[Signed, bytes], Part]


def over_http(signed: Signed, content: bytes) -> Part:
    request = urllib.request.Request(
        signed.url, content, {"Content-Type": "application/gzip", **signed.headers}, method="PUT"
    )
    number = int(signed.url.partition("partNumber=")[2].partition("&")[0])
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return Part(number, answer.headers["ETag"], sha(content))
    except urllib.error.HTTPError as error:
        raise Refused(error.read().decode(), code=str(error.code)) from error


def sha(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def wire(sim: SimulatedAws, installation: str = "") -> AwsFiles:
    name = installation or f"test-{secrets.token_hex(4)}"
    return AwsFiles(region="us-east-1", endpoint_url=sim.url, bucket=sim.network["bucket"], installation=name)


@pytest.fixture(params=["memory", "wire"])
def stage(request: pytest.FixtureRequest) -> Stage:
    if request.param == "memory":
        fake = FakeFiles(lambda: datetime.now(UTC))
        return Stage(fake, fake.put)
    return Stage(wire(request.getfixturevalue("sim")), over_http)


def send(stage: Stage, key: str, upload: str, number: int, content: bytes) -> Part:
    signed = stage.files.part_url(key, upload, number, size=len(content), sha256=sha(content), seconds=60)
    return stage.put(signed, content)


def test_parts_become_one_object_that_is_as_large_and_has_their_checksum(stage: Stage) -> None:
    upload = stage.files.begin("one.tar.gz")
    parts = [send(stage, "one.tar.gz", upload, 1, FULL), send(stage, "one.tar.gz", upload, 2, b"the end")]
    assert stage.files.look("one.tar.gz") is None
    stage.files.complete("one.tar.gz", upload, parts)
    found = stage.files.look("one.tar.gz")
    assert found is not None
    assert (found.size, found.checksum) == (LEAST_PART + 7, checksum_of(parts))
    assert stage.files.uploads() == []


def test_a_part_that_is_sent_again_replaces_itself(stage: Stage) -> None:
    upload = stage.files.begin("one")
    send(stage, "one", upload, 1, b"first")
    part = send(stage, "one", upload, 1, b"second")
    stage.files.complete("one", upload, [part])
    assert stage.files.look("one").size == 6  # type: ignore[union-attr]


def test_other_bytes_than_the_signed_ones_are_refused(stage: Stage) -> None:
    upload = stage.files.begin("one")
    signed = stage.files.part_url("one", upload, 1, size=4, sha256=sha(b"mine"), seconds=60)
    with pytest.raises(Refused):
        stage.put(signed, b"hers")


def test_an_address_whose_time_is_over_is_refused(stage: Stage) -> None:
    upload = stage.files.begin("one")
    signed = stage.files.part_url("one", upload, 1, size=4, sha256=sha(b"mine"), seconds=-5 if is_fake(stage) else 1)
    if not is_fake(stage):
        made = signed.url.partition("X-Amz-Date=")[2].partition("&")[0]
        signed = Signed(signed.url.replace(made, "20200101T000000Z"), signed.headers)
    with pytest.raises(Refused, match="expired"):
        stage.put(signed, b"mine")


def is_fake(stage: Stage) -> bool:
    return isinstance(stage.files, FakeFiles)


def test_a_part_that_never_came_makes_no_object(stage: Stage) -> None:
    upload = stage.files.begin("one")
    part = send(stage, "one", upload, 1, b"here")
    with pytest.raises(CloudError):
        stage.files.complete("one", upload, [part, Part(2, '"0123456789abcdef0123456789abcdef"', sha(b"never"))])
    assert stage.files.look("one") is None


def test_completing_twice_harms_nothing(stage: Stage) -> None:
    """S3 may say either: that it is done, or that there is no such upload any more."""
    upload = stage.files.begin("one")
    parts = [send(stage, "one", upload, 1, b"here")]
    stage.files.complete("one", upload, parts)
    with suppress(NotFound):
        stage.files.complete("one", upload, parts)
    assert stage.files.look("one") is not None


def test_completing_what_was_given_up_says_that_there_is_no_such_upload(stage: Stage) -> None:
    upload = stage.files.begin("one")
    parts = [send(stage, "one", upload, 1, b"here")]
    stage.files.abort("one", upload)
    with pytest.raises(NotFound):
        stage.files.complete("one", upload, parts)


def test_what_is_unfinished_is_listed_until_it_is_given_up(stage: Stage) -> None:
    upload = stage.files.begin("one")
    assert [(one.key, one.upload_id) for one in stage.files.uploads()] == [("one", upload)]
    for _twice in range(2):
        stage.files.abort("one", upload)
    assert stage.files.uploads() == []


def test_deleting_twice_is_no_error(stage: Stage) -> None:
    upload = stage.files.begin("one")
    stage.files.complete("one", upload, [send(stage, "one", upload, 1, b"here")])
    for _twice in range(2):
        stage.files.delete("one")
    assert stage.files.look("one") is None


def test_the_download_has_a_name_and_the_bytes(sim: SimulatedAws) -> None:
    files = wire(sim)
    upload = files.begin("one")
    files.complete("one", upload, [send(Stage(files, over_http), "one", upload, 1, b"here")])
    with urllib.request.urlopen(files.download_url("one", name="files.tar.gz", seconds=60), timeout=20) as answer:
        assert answer.read() == b"here"
        assert "files.tar.gz" in answer.headers["Content-Disposition"]


def test_what_is_in_the_bucket_is_there_after_the_simulator_was_started_again(
    aws_credentials: None, tmp_path: Path
) -> None:
    first = SimulatedAws(tmp_path / "aws", "--no-room")
    files = wire(first, "kept")
    for key in ("one", "two"):
        upload = files.begin(key)
        files.complete(key, upload, [send(Stage(files, over_http), key, upload, 1, b"here")])
    files.delete("two")
    first.stop()
    second = SimulatedAws(tmp_path / "aws", "--no-room")
    files = wire(second, "kept")
    assert files.look("two") is None
    with urllib.request.urlopen(files.download_url("one", name="one", seconds=60), timeout=20) as answer:
        assert answer.read() == b"here"
    second.stop()


def test_two_installations_in_one_bucket_do_not_see_each_other(sim: SimulatedAws) -> None:
    mine, theirs = wire(sim, "one"), wire(sim, "two")
    upload = mine.begin("a")
    assert theirs.uploads() == []
    theirs.delete("a")
    mine.abort("a", upload)


def test_an_address_in_another_region_names_that_region(aws_credentials: None) -> None:
    """S3 redirects nobody who uploads: a machine must be sent to the bucket's own region at once."""
    files = AwsFiles(region="eu-central-1", endpoint_url=None, bucket="homes-of-ours", installation="x")
    signed = files.part_url("one", "u", 1, size=4, sha256=sha(b"mine"), seconds=60)
    assert signed.url.startswith("https://homes-of-ours.s3.eu-central-1.amazonaws.com/homes/x/one?")
    assert "x-amz-checksum-sha256" in signed.url.lower()
    assert "content-length" in signed.url.lower()


def test_an_s3_that_does_not_answer_is_transient(aws_credentials: None) -> None:
    files = AwsFiles(region="us-east-1", endpoint_url="http://127.0.0.1:9", bucket="b", installation="x")
    with pytest.raises(Transient):
        files.look("one")
