"""The link in a mail that keeps one machine on, and does nothing else. Works without a sign-in; checked, never stored.

Signed, of one run of one machine: it expires by itself, and is worth nothing once that run has ended.
"""

from dataclasses import dataclass

from django.conf import settings
from django.core import signing
from django.urls import reverse

from instances.models import Instance
from instances.states import State

SALT = "lamplighter.keep"
MOST_AGE = 12 * 3600  # seconds; a warning is about minutes or hours


@dataclass(frozen=True, slots=True)
class Found:
    """`machine` is None when the link is none of ours or too old; `over` when its run has ended."""

    machine: Instance | None
    over: bool = False


def keep_url(machine: Instance) -> str:
    token = signing.dumps([machine.slug, machine.run_number], salt=SALT, compress=False)
    return settings.PORTAL_URL + reverse("keep_link", args=[token])


def machine_of(token: str) -> Found:
    try:
        slug, run = signing.loads(token, salt=SALT, max_age=MOST_AGE)
    except (signing.BadSignature, ValueError, TypeError):  # an expired one is a bad one, too
        return Found(None)
    rows = Instance.objects.select_related("owner__user", "course__machine_policy", "preset")
    machine = rows.filter(slug=slug).first()
    if machine is None:
        return Found(None)
    return Found(machine, over=machine.state != State.RUNNING or machine.run_number != run)
