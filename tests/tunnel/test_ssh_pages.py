"""SSH on the pages: one's own keys, the course's switch, the line of a machine; and how keys come onto a machine."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from bs4 import BeautifulSoup
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from courses.models import AuditNote, User
from instances import ssh_access
from instances.models import CourseSsh, SshKey
from instances.reports import answer
from instances.ssh_keys import BadKey, parse
from tests.conftest import Cast
from tests.instances.conftest import Stage
from tests.machine.conftest import house  # noqa: F401 - the fixture
from tests.pages.conftest import _plain_static_files, signed_in, today  # noqa: F401 - fixtures

ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGw1a0mZ5jKwS3yXo1xUJ5oS4iL7m9bq0gq1m3vJ6m1a"
ID = 'id="ssh"'
ADDRESS = "ssh.example.edu:2222"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """A public key of that kind, as ssh-keygen makes it."""
    folder = tmp_path_factory.mktemp("keys")

    def make(*kind: str, private: bool = False) -> str:
        path = folder / "-".join(kind)
        if not path.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", *kind, "-N", "", "-C", "ada@laptop", "-f", str(path)], check=True)
        return path.read_text() if private else path.with_name(f"{path.name}.pub").read_text()

    return make


def why(text: str) -> str:
    with pytest.raises(BadKey) as refused:
        parse(text)
    return str(refused.value.args[0])


# ------------------------------------------------------------------ reading a key
@pytest.mark.ssh
@pytest.mark.parametrize("kind", [("ed25519",), ("ecdsa", "-b", "256"), ("ecdsa", "-b", "521"), ("rsa", "-b", "3072")])
def test_a_good_key_is_read_as_the_client_reads_it(made: Callable[..., str], kind: tuple[str, ...]) -> None:
    text = made(*kind)
    parsed = parse(f"\n {text}\r\n")
    told = subprocess.run(["ssh-keygen", "-l", "-f", "-"], input=text, capture_output=True, text=True, check=True)
    assert parsed.fingerprint in told.stdout
    assert parsed.public_key == " ".join(text.split()[:2])
    assert parsed.name == "ada@laptop"


@pytest.mark.ssh
def test_what_is_no_good_public_key_is_told_apart(made: Callable[..., str]) -> None:
    good = made("ed25519")
    assert why(made("ed25519", private=True)) == "private"
    assert why(made("rsa", "-b", "2048")) == "short"
    assert why(f"{good}\n{good}") == "lines"
    assert why(f'command="sh" {good}') == "kind"
    assert why("ssh-dss AAAAB3NzaC1kc3MAAACB") == "kind"
    assert why(good.split()[0]) == "broken"
    assert why(good[:40]) == "broken"
    assert why(good.replace("ssh-ed25519 ", "ssh-rsa ", 1)) == "broken"
    assert why("") == "lines"
    assert why("ssh-rsa " + "A" * 5000) == "lines"
    assert parse(f"{good.strip()} \x1b[31m" + "n" * 90).name == ("ada@laptop [31m" + "n" * 90)[:60]


# ------------------------------------------------------------------ one's own keys
def switch_on(cast: Cast, settings: Settings) -> None:
    settings.SSH_ADDRESS = ADDRESS
    CourseSsh.objects.create(course=cast.course, on=True, at=timezone.now())


def test_ones_page_has_keys_where_a_course_lets_in_by_them(cast: Cast, settings: Settings) -> None:
    here = signed_in(cast.student.user)
    assert ID not in here.get(reverse("me")).content.decode()
    switch_on(cast, settings)
    assert ID in here.get(reverse("me")).content.decode()
    assert ID not in signed_in(cast.foreign_instructor.user).get(reverse("me")).content.decode()


@pytest.mark.ssh
def test_a_key_is_added_listed_and_removed(cast: Cast, settings: Settings, made: Callable[..., str]) -> None:
    switch_on(cast, settings)
    here = signed_in(cast.student.user)
    text = made("ed25519").replace("ada@laptop", "<b>ada</b>")
    assert here.post(reverse("ssh_key_add"), {"public_key": text}).status_code == 302
    key = SshKey.objects.get(user=cast.student.user)
    page = here.get(reverse("me")).content.decode()
    assert key.fingerprint in page
    assert "<b>ada</b>" not in page
    again = here.post(reverse("ssh_key_add"), {"public_key": text})
    assert (again.status_code, "already" in again.content.decode()) == (422, True)
    assert here.post(reverse("ssh_key_remove", args=[key.pk])).status_code == 302
    assert not SshKey.objects.exists()
    told = AuditNote.objects.filter(who=cast.student.user).order_by("pk")
    assert [(note.what, note.facts) for note in told] == [
        ("ssh_key_added", {"key": key.fingerprint}),
        ("ssh_key_removed", {"key": key.fingerprint}),
    ]


def test_what_is_wrong_stands_at_the_field(cast: Cast, settings: Settings) -> None:
    switch_on(cast, settings)
    secret = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----"
    refused = signed_in(cast.student.user).post(reverse("ssh_key_add"), {"public_key": secret})
    assert refused.status_code == 422
    page = BeautifulSoup(refused.content, "html.parser")
    field = page.find("textarea", {"name": "public_key"})
    assert field
    error = page.find(id=str(field["aria-describedby"]).split()[-1])
    assert error
    assert "private half" in error.get_text()


def test_nobody_has_more_keys_than_they_can_look_through(cast: Cast) -> None:
    user = cast.student.user
    assert isinstance(user, User)
    for n in range(ssh_access.KEYS_MOST):
        SshKey.objects.create(user=user, fingerprint=str(n), public_key="x", added_at=timezone.now())
    refused = signed_in(user).post(reverse("ssh_key_add"), {"public_key": ED})
    assert "Remove one first" in refused.content.decode()


# ------------------------------------------------------------------ the course and its machines
def test_instructors_switch_it_where_the_operator_has_set_it_up(cast: Cast, settings: Settings) -> None:
    here, url = signed_in(cast.instructor.user), reverse("machine_ssh", args=[cast.course.slug])
    policy = reverse("machine_policy", args=[cast.course.slug])
    settings.SSH_ADDRESS = ""
    assert "Not set up here" in here.get(policy).content.decode()
    settings.SSH_ADDRESS = ADDRESS
    assert "Switch SSH on" in here.get(policy).content.decode()
    assert not ssh_access.is_on(cast.course)
    here.post(url, {"on": "1"})
    assert ssh_access.is_on(cast.course)
    assert "Switch SSH off" in here.get(policy).content.decode()
    assert "switch-ssh" not in signed_in(cast.ta.user).get(policy).content.decode()
    here.post(url, {"on": "0"})
    assert not ssh_access.is_on(cast.course)
    assert list(AuditNote.objects.order_by("pk").values_list("what", flat=True)) == ["ssh_on", "ssh_off"]


def test_the_machines_page_has_the_line_for_its_owner(today: Stage, settings: Settings) -> None:  # noqa: F811
    row, url = today.running(), ""
    url = reverse("machine", args=[row.slug])
    here = signed_in(today.cast.student.user)
    assert "By SSH" not in here.get(url).content.decode()
    switch_on(today.cast, settings)
    assert "Add your public key first" in here.get(url).content.decode()
    SshKey.objects.create(user=row.owner.user, fingerprint="f", public_key=ED, added_at=today.now)
    line = f"ssh -J {row.slug}@{ADDRESS} ubuntu@{row.slug}"
    assert line in here.get(url).content.decode()
    assert "By SSH" not in signed_in(today.cast.ta.user).get(url).content.decode()


def test_a_machine_is_told_its_owners_keys_where_ssh_is_on(today: Stage, settings: Settings) -> None:  # noqa: F811
    row = today.running()
    SshKey.objects.create(user=row.owner.user, fingerprint="f", public_key=ED, added_at=today.now)
    SshKey.objects.create(user=today.cast.ta.user, fingerprint="g", public_key="ssh-rsa B", added_at=today.now)
    assert "ssh_keys" not in answer(row, now=today.now)
    switch_on(today.cast, settings)
    row.course.refresh_from_db()
    assert answer(row, now=today.now)["ssh_keys"] == [ED]


def test_the_agent_keeps_a_file_of_its_own_beside_the_students(
    house: Callable[[str], ModuleType],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = house("keys")
    monkeypatch.setenv("HOME", str(tmp_path))
    keys.write_keys([])
    assert not (tmp_path / ".ssh").exists()
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/authorized_keys").write_text("theirs\n")
    ours = tmp_path / ".ssh/authorized_keys2"
    keys.write_keys([ED, "two\nlines", 7])
    assert ours.read_text() == f"{ED}\n"
    assert (ours.stat().st_mode & 0o777, ours.stat().st_uid) == (0o600, os.getuid())
    keys.write_keys([])
    assert ours.read_text() == ""
    assert (tmp_path / ".ssh/authorized_keys").read_text() == "theirs\n"


def test_what_is_shown_to_nobody_signed_in_is_shown_to_nobody(cast: Cast) -> None:
    assert Client().post(reverse("ssh_key_add"), {"public_key": ED}).status_code == 302
    assert not SshKey.objects.exists()
