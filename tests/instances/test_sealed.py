"""Whatever is sealed outlives the key that it was sealed with, if somebody says so in time."""

import io
import re
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.core.management import call_command

from credits import vault
from instances import dialing
from portal.sealed import COLUMNS
from spend.models import ChatChannel
from tests.instances.conftest import Stage

ROOT = Path(__file__).resolve().parents[2]


def test_a_machine_and_its_tunnel_and_chats_outlive_the_old_key(stage: Stage, settings: Any) -> None:
    new, old = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.CODE_KEYS = [old]
    settings.DIAL_OUT, settings.TUNNEL_ADDRESS = ["*"], "tunnel.example:2222"
    row = stage.click_launch()
    room = ChatChannel.objects.create(
        course=row.course, name="Staff", service="Slack", created_at=stage.now, sealed_url=vault.seal("slack://a/b/c")
    )
    settings.CODE_KEYS = [new, old]
    call_command("rotate_code_keys", stdout=io.StringIO())
    settings.CODE_KEYS = [new]
    row.refresh_from_db()
    room.refresh_from_db()
    sealed = [row.notebook_token, row.agent_secret, row.tunnel.private_key, dialing.host().private_key]
    assert all(vault.unseal(one) for one in [*sealed, room.sealed_url])


def test_every_column_that_is_sealed_anywhere_is_reached() -> None:
    assigned = re.compile(r"(\w+)[\"']?\s*[=:]\s*(?:vault\.)?seal\(")
    files = [
        path for app in ("courses", "credits", "spend", "instances", "portal") for path in (ROOT / app).rglob("*.py")
    ]
    found = {name for path in files for name in assigned.findall(path.read_text())}
    assert found == {column for _what, _model, column in COLUMNS}
