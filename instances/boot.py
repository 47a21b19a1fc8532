"""What a machine is told at its birth: user data with the agent, the timers and the notebook. Launches nothing."""

import ast
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

from django.conf import settings
from django.urls import reverse

from cloud.user_data import MOST_BYTES, packed
from credits.vault import unseal
from instances.dialing import files_for
from instances.facts import limits_of
from instances.models import Instance, Policy

HOUSE = "/opt/lamplighter"
HERE = Path(__file__).resolve().parent
# What lies where below HOUSE, and where it is found below HERE: the list that the course image is made from, too.
PROGRAMS = dict(line.split() for line in (HERE / "agent/parts").read_text().splitlines())
# Every boot, not once per machine: a machine that was stopped and started must light its timers again.
PER_BOOT = "/var/lib/cloud/scripts/per-boot/lamplighter"


class UserDataTooLong(Exception):
    """EC2 would refuse it; the message says by how much."""


def user_data(instance: Instance, policy: Policy, *, report_url: str) -> str:
    """A cloud-config in JSON, which is YAML. The same row gives the same bytes: a client token allows nothing else.

    `report_url` is the portal's address as the machine sees it. Raises UserDataTooLong.
    """
    token = unseal(instance.notebook_token)
    about = json.dumps(_about(instance, policy, token, report_url), sort_keys=True)
    files = [
        _file("/etc/lamplighter/machine.json", about, "0600"),
        _file("/etc/lamplighter/notebook.env", f"JUPYTER_TOKEN={token}\n", "0600"),
        *(_file(f"{HOUSE}/{name}", _lean(HERE / source), "0644") for name, source in PROGRAMS.items()),
        *(_file(path, content, "0600") for path, content in files_for(instance).items()),
        _file(PER_BOOT, _lean(HERE / "agent/boot.sh"), "0755"),
    ]
    text = "#cloud-config\n" + json.dumps({"write_files": files}, sort_keys=True, separators=(",", ":")) + "\n"
    size = len(packed(text))
    if size > MOST_BYTES:
        raise UserDataTooLong(f"{size} bytes of user data, {MOST_BYTES} are allowed")
    return text


def margin_seconds() -> int:
    """From the lease's end to the machine's own power-off: after the portal's turn, within what is held."""
    return settings.STOP_MARGIN_SECONDS * 2 // 5


def _about(instance: Instance, policy: Policy, token: str, report_url: str) -> dict[str, object]:
    return {
        "slug": instance.slug,
        "secret": unseal(instance.agent_secret),
        "notebook_token": token,
        "report_url": report_url.rstrip("/") + reverse("agent_report"),
        "report_seconds": policy.report_seconds,
        "limits": instance.birth_limits or asdict(limits_of(policy)),
        "lease_seconds": instance.lease_seconds,
        "margin_seconds": margin_seconds(),
    }


def _file(path: str, text: str, permissions: str) -> dict[str, str]:
    return {"path": path, "permissions": permissions, "content": text}


@cache
def _lean(path: Path) -> str:
    """A program without what only its readers need: 16 KB are soon full."""
    text = path.read_text()
    if path.suffix != ".py":
        return "".join(line for n, line in enumerate(text.splitlines(True)) if n == 0 or not _is_comment(line))
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return "#!/usr/bin/env python3\n" + ast.unparse(tree) + "\n"


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(("#", "// "))
