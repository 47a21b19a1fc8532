"""Messages to the course's chat rooms: addresses sealed, sent once, tried again while the chat is down."""

import ipaddress
import logging
import re
import socket
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from courses.models import Course
from credits import outbox
from credits.outbox import Clock
from credits.vault import WrongKey, seal, unseal
from spend.models import ChatChannel, ChatMessage, Gravity

logger = logging.getLogger(__name__)

_AT_ONCE = 50
_ROUND_SECONDS = 60.0
# The services that are offered, by the word that apprise has for them. No other: some run programs or write files.
SERVICES = {
    "slack": "Slack",
    "workflow": "Teams",
    "workflows": "Teams",
    "msteams": "Teams",
    "discord": "Discord",
    "feishu": "Feishu",
    "lark": "Lark",
    "dingtalk": "DingTalk",
    "matrix": "Matrix",
    "matrixs": "Matrix",
}
# As the chat itself shows the address, where apprise does not know it.
_NATIVE = (
    (re.compile(r"https://open\.feishu\.cn/open-apis/bot/v2/hook/([\w-]+)/?"), r"feishu://\1/"),
    (re.compile(r"https://oapi\.dingtalk\.com/robot/send\?access_token=(\w+)"), r"dingtalk://\1/"),
)


class BadAddress(Exception):
    """`str()` says why, and never holds the address."""


@sensitive_variables()
def open_channel(
    course: Course, *, name: str, url: str, least: int = Gravity.NOTE, tells_machines: bool = False, now: datetime
) -> ChatChannel:
    """A room by the address that its chat gives. Raises BadAddress."""
    service = service_of(url)
    return ChatChannel.objects.create(
        course=course,
        name=name,
        service=service,
        sealed_url=seal(_ours(url)),
        least=least,
        tells_machines=tells_machines,
        created_at=now,
    )


@sensitive_variables()
def service_of(url: str) -> str:
    """What chat this address belongs to. Raises BadAddress."""
    target = _target(_ours(url))
    words = [target.secure_protocol, target.protocol] if target is not None else []
    flat = [word for part in words for word in (part if isinstance(part, tuple | list) else (part,)) if word]
    service = next((SERVICES[word] for word in flat if word in SERVICES), None)
    if service is None:
        raise BadAddress(
            _("This is no webhook address of Slack, Teams, Discord, Feishu, DingTalk or Matrix. Copy it from the chat.")
        )
    host = getattr(target, "host", None)
    if host and service == "Matrix" and not settings.DEMO:
        _must_be_outside(str(host))
    return service


def send_due(now: datetime) -> int:
    """Send what is due, oldest first; returns how many arrived. A room that fails holds up no other."""
    messages = list(outbox.due(ChatMessage, now).filter(channel__enabled=True).select_related("channel")[:_AT_ONCE])
    clock, sent, failed = Clock(now), 0, set()
    for message in messages:
        if clock.seconds() > _ROUND_SECONDS:
            break
        if message.channel_id not in failed and outbox.take(message, clock.now()):
            arrived = _send(message, clock)
            sent += arrived
            if not arrived:
                failed.add(message.channel_id)
    return sent


def test(channel: ChatChannel, now: datetime) -> str:
    """Say something there now; returns what went wrong, or nothing."""
    said = _("This is a test from Lamplighter: messages of %(course)s arrive here.") % {"course": channel.course.name}
    return _notify(channel, _("Test"), said, now)


def _send(message: ChatMessage, clock: Clock) -> bool:
    this = ChatMessage.objects.filter(pk=message.pk)
    problem = _notify(message.channel, message.title, message.body, clock.now())
    if problem:
        this.update(claimed_until=clock.now() + outbox.pause(message.attempts))
        logger.warning("chat message %s is tried again: %s", message.pk, problem)
        return False
    this.update(sent_at=clock.now(), claimed_until=None)
    return True


@sensitive_variables()
def _notify(channel: ChatChannel, title: str, body: str, now: datetime) -> str:
    """What went wrong, without the address; nothing when it arrived."""
    this = ChatChannel.objects.filter(pk=channel.pk)
    try:
        target = _target(unseal(channel.sealed_url))
        arrived = target is not None and bool(target.notify(body=body, title=title))
        problem = "" if arrived else _("%(service)s did not take the message.") % {"service": channel.service}
    except WrongKey as error:
        problem = str(error)
    except Exception as error:  # a library of many services: none of them may end the round
        problem = f"{type(error).__name__}"
    this.update(**({"problem": problem[:300], "problem_at": now} if problem else {"problem": "", "ok_at": now}))
    return problem


@sensitive_variables()
def _ours(url: str) -> str:
    """The address as apprise knows it."""
    url = url.strip()
    for native, form in _NATIVE:
        if found := native.match(url):
            return found.expand(form)
    return url


@sensitive_variables()
def _target(url: str) -> Any:
    """What apprise makes of the address; None when it knows no such service."""
    import apprise  # here, because it knows a hundred services and takes a second

    # Its own retries would hold a worker; ours are in the outbox.
    return apprise.Apprise.instantiate(url, suppress_exceptions=True)


def _must_be_outside(host: str) -> None:
    """Who may write an address here must not reach into the portal's own network by it. Raises BadAddress."""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        raise BadAddress(_("There is no server of this name.")) from None
    if any(not ipaddress.ip_address(address).is_global for address in found):
        raise BadAddress(_("This server is inside a private network: it is not reachable as a chat."))
