"""Messages to the course's chat rooms: addresses sealed, sent once, tried again while the chat is down."""

import ipaddress
import logging
import re
import socket
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import OuterRef, Subquery
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
# Where Microsoft's flows are called, in each of its clouds, as it tells firewalls to let through ("When an HTTP request
# is received": learn.microsoft.com/power-automate/ip-address-configuration). apprise takes any host for one.
_MICROSOFT = re.compile(
    r"[a-z0-9.-]+\.("
    r"logic\.azure\.(com|us|cn)|api\.powerplatform\.(com|partner\.microsoftonline\.cn)|"
    r"api\.(gov|high)\.powerplatform\.microsoft\.us|api\.appsplatform\.us)",
    re.IGNORECASE,
)
# What an address may carry behind its "?". Of what else apprise knows, some reads files and fetches addresses
# (`template`), leaves out the look at certificates, or holds a round for as long as it says.
_HARMLESS = {
    "Slack": {"blocks", "footer", "image", "mode", "timestamp", "to", "token"},
    "Teams": {"api-version", "id", "image", "pa", "powerautomate", "route", "routeid", "sig", "signature", "sp", "sv"}
    | {"ver", "workflow", "wrap"},
    "Discord": {"botname", "fields", "footer", "image", "thread", "tts"},
    "Feishu": {"token"},
    "Lark": {"token"},
    "DingTalk": {"secret", "to", "token"},
    "Matrix": {"discovery", "e2ee", "hsreq", "image", "mode", "msgtype", "path", "to", "token", "v", "version"},
}
_HARMLESS_EVERYWHERE = {"", "format", "overflow"}  # the last one is not followed
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # with an IPv4 address at the end, perhaps one inside
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
    service, target = _target(_ours(url))
    if not _is_one_room(service, target):
        raise BadAddress(_("This address does not name exactly one room. Add each room by an address of its own."))
    return service


def send_due(now: datetime) -> int:
    """Send what is due, oldest first; returns how many arrived. A room that fails holds up no other."""
    clock, sent, left, failed = Clock(now), 0, _AT_ONCE, set[int]()
    while left and (messages := _next(now, failed, left)):
        for message in messages:
            if clock.seconds() > _ROUND_SECONDS:
                return sent
            if message.channel_id in failed:
                continue  # without a place in the round: the next look leaves this room out
            left -= 1
            if outbox.take(message, clock.now()):
                arrived = _send(message, clock)
                sent += arrived
                if not arrived:
                    failed.add(message.channel_id)
    return sent


def _next(now: datetime, failed: set[int], most: int) -> list[ChatMessage]:
    """Oldest first of rooms where the last message arrived; then one for each other room, the longest untried first.

    One tells whether such a room is back. It is the oldest that is due: what failed waits longer each time, so that a
    message that its chat never takes keeps the room's others for a while, and not until they are too old.
    """
    due = outbox.due(ChatMessage, now).filter(channel__enabled=True).exclude(channel__in=failed)
    due = due.select_related("channel")
    well = list(due.filter(channel__problem="")[:most])
    if len(well) == most:
        return well
    oldest = outbox.due(ChatMessage, now).filter(channel=OuterRef("pk")).values("pk")[:1]
    rooms = ChatChannel.objects.filter(enabled=True).exclude(problem="").exclude(pk__in=failed)
    probes = rooms.annotate(oldest=Subquery(oldest)).exclude(oldest=None).order_by("problem_at", "pk")
    of_others = list(probes.values_list("oldest", flat=True)[: most - len(well)])
    return [*well, *due.filter(pk__in=of_others).order_by("channel__problem_at", "pk")]


def test(channel: ChatChannel, now: datetime) -> str:
    """Say something there now; returns what went wrong, or nothing."""
    said = _("This is a test from Lamplighter: messages of %(course)s arrive here.") % {"course": channel.course.name}
    return _notify(channel, _("Test"), said, now)[0]


def _send(message: ChatMessage, clock: Clock) -> bool:
    this = ChatMessage.objects.filter(pk=message.pk)
    problem, again = _notify(message.channel, message.title, message.body, clock.now())
    if problem and again:
        this.update(claimed_until=clock.now() + outbox.pause(message.attempts))
        logger.warning("chat message %s is tried again: %s", message.pk, problem)
        return False
    if problem:
        logger.warning("chat message %s is not tried again: %s", message.pk, problem)
    this.update(sent_at=clock.now(), claimed_until=None)
    return not problem


@sensitive_variables()
def _notify(channel: ChatChannel, title: str, body: str, now: datetime) -> tuple[str, bool]:
    """What went wrong, without the address; nothing when it arrived. And whether it may be tried again."""
    again = True
    try:
        # Judged again: its name may stand for another server by now.
        service, target = _target(unseal(channel.sealed_url))
        again = _is_one_room(service, target)
        problem = "" if target.notify(body=body, title=title) else _not_taken(channel, again)
    except (WrongKey, BadAddress) as error:
        problem = str(error)
    except Exception as error:  # a library of many services: none of them may end the round
        problem = f"{type(error).__name__}"
    this = ChatChannel.objects.filter(pk=channel.pk)
    this.update(**({"problem": problem[:300], "problem_at": now} if problem else {"problem": "", "ok_at": now}))
    return problem, again


def _not_taken(channel: ChatChannel, is_one_room: bool) -> str:
    if is_one_room:
        return _("%(service)s did not take the message.") % {"service": channel.service}
    return _("Not every room of this address took the message. Add each room by an address of its own.")


def _is_one_room(service: str, target: Any) -> bool:
    """Of several nobody is told which ones took a message: a second attempt would repeat it where it arrived.

    None is let in. Those that were stored before this was asked get each message once, whether it arrives or not.
    """
    if service == "DingTalk" or (service == "Matrix" and target.mode != "off"):
        return True  # one call; what its address names besides are people whom it calls by name, or nothing
    if service == "Matrix" and not target.rooms and not target.users:
        return False  # every room that this user has ever joined
    return len(target) == 1


@sensitive_variables()
def _ours(url: str) -> str:
    """The address as apprise knows it."""
    url = url.strip()
    for native, form in _NATIVE:
        if found := native.match(url):
            return found.expand(form)
    return url


@sensitive_variables()
def _target(url: str) -> tuple[str, Any]:
    """The service, and what apprise makes of the address. Raises BadAddress."""
    import apprise  # here, because it knows a hundred services and takes a second
    from apprise.plugins import url_to_dict

    parts = url_to_dict(url) or {}
    service = SERVICES.get(parts.get("schema", ""))
    if service and parts["qsd"].keys() - _HARMLESS[service] - _HARMLESS_EVERYWHERE:
        raise BadAddress(
            _("This address carries settings that are not taken from outside. Copy it as the chat shows it.")
        )
    # From the text, and not from its parts: what apprise cannot use it logs, the text without its password, parts with.
    # Its own retries would hold a worker; ours are in the outbox.
    asset = apprise.AppriseAsset(http_redirects=False)
    target = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True) if service else None
    if service is None or target is None:
        raise BadAddress(
            _("This is no webhook address of Slack, Teams, Discord, Feishu, DingTalk or Matrix. Copy it from the chat.")
        )
    _must_be_its_own(service, str(target.host or ""))
    # What is too long for it a chat refuses, each time. So the end is cut off, whatever the address says (`overflow`):
    # the page has all of it, and alarms for a room begin with its link. In parts, some would be told twice.
    target.overflow_mode = apprise.OverflowMode.TRUNCATE
    target.discovery = False  # by which a Matrix server names another one, and nobody has looked where that is
    return service, target


def _must_be_its_own(service: str, host: str) -> None:
    """Of the others apprise itself knows the host. Raises BadAddress."""
    if service == "Teams" and not _MICROSOFT.fullmatch(host):
        raise BadAddress(_("This server is none of Microsoft's. Copy the address of the workflow from Teams."))
    if service == "Matrix" and host and not settings.DEMO:
        _must_be_outside(host)


def _must_be_outside(host: str) -> None:
    """Who may write an address here must not reach into the portal's own network by it. Raises BadAddress.

    That holds for what the name stands for now. A name server that answers differently a moment later, when apprise
    asks it again, is stopped by the network's own rules alone.
    """
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        raise BadAddress(_("There is no server of this name.")) from None
    if not all(_is_outside(address) for address in found):
        raise BadAddress(_("This server is inside a private network: it is not reachable as a chat."))


def _is_outside(text: str) -> bool:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        nat64 = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
        address = address.ipv4_mapped or address.sixtofour or nat64 or address
    return address.is_global and not address.is_multicast
