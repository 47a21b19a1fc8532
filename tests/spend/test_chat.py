"""Chat rooms: which addresses are let in, sealed; one message each, also when the chat was down."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from credits.vault import seal
from spend import chat
from spend.alarming import evaluate, put_due
from spend.alerts import BudgetFacts
from spend.chat import BadAddress, open_channel, send_due, service_of
from spend.models import ChatChannel, ChatMessage, Gravity
from tests.conftest import Cast
from tests.race import race
from tests.spend.rooms import Room
from tests.spend.test_alarming import course_used, facts, used

NOON = datetime(2019, 3, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CARRIERS = [  # each may have settings behind it
    "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ?",
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?",
    "https://discord.com/api/webhooks/1234567/abcdefgh?",
    "workflows://prod-1.westus.logic.azure.com:443/643e69f83c8944/KODuebWbDGYFr0z0eu/?",
    "https://prod-1.westus.logic.azure.com/workflows/643e69f83c8944/triggers/manual/paths/invoke?sig=KODueb&",
    "dingtalk://abcdef1234567/?",
    "matrix://token@127.0.0.1/?mode=slack&",
]


@contextmanager
def named(monkeypatch: pytest.MonkeyPatch, address: str) -> Iterator[None]:
    """Every name stands for this address."""
    with monkeypatch.context() as patched:
        patched.setattr(chat.socket, "getaddrinfo", lambda *_: [(0, 0, 0, "", (address, 0))])
        yield


def channel(cast: Cast, room: Room, **more: Any) -> ChatChannel:
    return open_channel(cast.course, name="staff room", url=room.url, now=NOON, **more)


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "Slack"),
        ("https://discord.com/api/webhooks/1234567/abcdefgh", "Discord"),
        ("https://open.feishu.cn/open-apis/bot/v2/hook/abcd-ef01-2345-6789-0123", "Feishu"),
        ("https://oapi.dingtalk.com/robot/send?access_token=abcdef1234567", "DingTalk"),
        ("  matrixs://user:secret@matrix.example.org/#course  ", "Matrix"),
        (
            "https://prod-1.westus.logic.azure.com:443/workflows/643e69f83c8944/triggers/manual/paths/invoke"
            "?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=KODuebWbDGYFr0z0eu",
            "Teams",
        ),
        (
            "https://default9a.73.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/09a7/"
            "triggers/manual/paths/invoke/?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=fKJHT897_0987HK",
            "Teams",
        ),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?image=no&&footer=no", "Slack"),
        ("workflows://prod-1.westus.logic.azure.com:443/643e69f83c8944/KODuebWbDGYFr0z0eu/?image=no", "Teams"),
        ("workflows://x.environment.api.gov.powerplatform.microsoft.us/643e69/KODue/?pa=yes", "Teams"),
        ("workflows://x.environment.api.powerplatform.partner.microsoftonline.cn/643e69/KODue/?pa=yes", "Teams"),
    ],
)
def test_the_address_that_a_chat_shows_is_known_for_what_it_is(url: str, service: str) -> None:
    assert service_of(url) == service


@pytest.mark.parametrize(
    "url",
    ["", "hello", "https://example.org/hook", "json://10.0.0.1/x", "mailto://a:b@gmail.com", "syslog://", "exec://ls"],
)
def test_nothing_else_is_let_in_and_the_refusal_does_not_repeat_it(url: str) -> None:
    with pytest.raises(BadAddress) as refused:
        service_of(url)
    assert not url or url not in str(refused.value)


def test_a_password_in_what_is_refused_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BadAddress):
        service_of("matrix://user:hook-token@chat.example.org/?mode=none")
    assert "hook-token" not in caplog.text


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "10.1.2.3", "localhost", "no-such-host.invalid"])
def test_a_server_inside_the_house_is_no_chat(settings: Settings, host: str) -> None:
    settings.DEMO = False
    with pytest.raises(BadAddress):
        service_of(f"matrix://token@{host}/?mode=slack")
    with pytest.raises(BadAddress):
        service_of(f"workflows://{host}:8443/643e69f83c8944/KODuebWbDGYFr0z0eu/")


@pytest.mark.parametrize(
    "host",
    [
        "chat.example.org",
        "logic.azure.com.example.org",
        "notlogic.azure.com",
        "x.logic.azure.example",  # apprise takes these two for Microsoft's
        "x.powerplatform.example.org",
        "10.0.0.5%2Fx.logic.azure.com",
        "x.logic.azure.com%40",
    ],
)
def test_teams_is_at_microsofts_servers_and_nowhere_else(host: str) -> None:
    flow = "workflows/643e69f83c8944/triggers/manual/paths/invoke?api-version=1&sig=KODuebWbDGYFr0z0eu"
    for url in (f"workflows://{host}/643e69f83c8944/KODuebWbDGYFr0z0eu/", f"https://{host}:443/{flow}"):
        with pytest.raises(BadAddress):
            service_of(url)


@pytest.mark.parametrize(
    "address",
    ["::ffff:10.0.0.5", "64:ff9b::a00:5", "2002:a00:5::1", "fd00::5", "fe80::5%eth0", "224.0.0.1", "100.64.0.1"],
)
def test_a_name_that_points_inside_by_a_roundabout_address_is_no_chat(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    settings.DEMO = False
    with pytest.raises(BadAddress), named(monkeypatch, address):
        service_of("matrix://token@chat.example.org/?mode=slack")
    with named(monkeypatch, "64:ff9b::5db8:d822"):  # how the outside looks where only IPv6 is spoken
        assert service_of("matrix://token@chat.example.org/?mode=slack") == "Matrix"


def test_a_name_that_points_inside_later_is_no_chat_any_more(
    cast: Cast, room: Room, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = channel(cast, room)
    settings.DEMO = False
    with named(monkeypatch, "10.0.0.5"):
        assert "inside a private network" in chat.test(made, NOON)
    assert room.visits == 0
    made.refresh_from_db()
    assert "inside a private network" in made.problem


def test_a_server_outside_leads_nowhere_else(cast: Cast, room: Room) -> None:
    """By a redirect, or as Matrix has it, by a page that names another server."""
    inner = Room()
    room.moved_to = f"http://127.0.0.1:{inner.server.server_port}/latest/meta-data"
    assert chat.test(channel(cast, room), NOON) == "Matrix did not take the message."
    assert (room.visits, inner.visits) == (1, 0)
    inner.server.shutdown()
    assert chat._target("matrixs://user:secret@chat.example.org/#room?discovery=yes")[1].discovery is False


@pytest.mark.parametrize(
    "more",
    [
        "template=http://169.254.169.254/latest/meta-data",
        "template=/etc/passwd",
        "TEMPLATE=file:///etc/passwd",
        "mode=slack;template=/etc/passwd",
        ":token=x",
        "verify=no",
        "redirect=yes",
        "cto=600",
        "rto=600",
        "retry=9",
        "wait=600",
        "store=yes",
        "port=22",
        "optional=yes",
        "autoverify=yes",
        "whatever",
    ],
)
def test_an_address_carries_nothing_that_is_not_known_to_be_harmless(more: str) -> None:
    for url in CARRIERS:
        with pytest.raises(BadAddress, match="Copy it as the chat shows it") as refused:
            service_of(url + more)
        assert more not in str(refused.value)


def test_the_address_is_sealed_and_shown_nowhere(cast: Cast, room: Room) -> None:
    made = channel(cast, room)
    assert "hook-token" not in made.sealed_url + str(made) + made.service
    assert chat.test(made, NOON) == ""
    assert "messages of Deep Learning arrive here" in json.dumps(room.said)


def test_a_room_hears_of_the_course_and_of_no_person(cast: Cast, room: Room) -> None:
    channel(cast, room)
    evaluate(cast.course, facts(course_used(85), used(cast.student, 100)), now=NOON)
    put_due(NOON + 16 * MINUTE)
    assert send_due(NOON + 16 * MINUTE) == 1
    assert send_due(NOON + 17 * MINUTE) == 0
    said = json.dumps(room.said)
    assert "80 % of the budget of Deep Learning is used" in said
    assert "Ada" not in said


def test_a_room_hears_nothing_below_what_it_wants(cast: Cast, room: Room) -> None:
    channel(cast, room, least=Gravity.GRAVE)
    evaluate(cast.course, facts(course_used(85)), now=NOON)
    evaluate(cast.course, facts(course_used(100)), now=NOON + MINUTE)
    put_due(NOON + 16 * MINUTE)
    assert send_due(NOON + 16 * MINUTE) == 1
    assert "100 %" in json.dumps(room.said)


def test_while_the_chat_is_down_nothing_is_lost_and_nothing_is_said_twice(
    cast: Cast, room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    made = channel(cast, room)
    room.is_down = True
    evaluate(cast.course, facts(course_used(85)), now=NOON)
    for n in range(10):
        put_due(NOON + (16 + n) * MINUTE)
        assert send_due(NOON + (16 + n) * MINUTE) == 0
    made.refresh_from_db()
    assert made.problem == "Matrix did not take the message."
    assert "hook-token" not in caplog.text
    room.is_down = False
    for n in range(20):
        send_due(NOON + (27 + n) * MINUTE)
    assert len(room.said) == 1
    assert ChatMessage.objects.get().attempts > 1
    made.refresh_from_db()
    assert (made.problem, bool(made.ok_at)) == ("", True)


def test_a_room_that_is_down_holds_up_no_other(cast: Cast, room: Room) -> None:
    broken = Room()
    broken.is_down = True
    channel(cast, broken)
    channel(cast, room)
    evaluate(cast.course, facts(course_used(100)), now=NOON)
    put_due(NOON)
    assert send_due(NOON) == 1
    assert len(room.said) == 1
    broken.server.shutdown()


# ------------------------------------------------------------------ a room that is dead, and much that waits for it
@pytest.fixture
def dead() -> Iterator[Room]:
    opened = Room()
    opened.is_down = True
    yield opened
    opened.server.shutdown()


def wait_for(to: ChatChannel, *texts: str, since: datetime = NOON) -> None:
    rows = [ChatMessage(key=f"{to.pk}/{text}", channel=to, title=text, body=text, created_at=since) for text in texts]
    ChatMessage.objects.bulk_create(rows)


def warnings(number: int) -> list[str]:
    return [f"warning {n}." for n in range(number)]


def heard(room: Room) -> Counter[str]:
    return Counter(one["attachments"][0]["title"] for one in room.said)


def test_what_is_written_after_much_for_a_dead_room_arrives_in_the_same_round(
    cast: Cast, room: Room, dead: Room
) -> None:
    wait_for(channel(cast, dead), *warnings(200))
    healthy = channel(cast, room)
    wait_for(healthy, "budget alarm")
    assert send_due(NOON) == 1
    assert (len(room.said), dead.visits) == (1, 1)
    wait_for(healthy, *warnings(60))
    assert [send_due(NOON + n * MINUTE) for n in (1, 2)] == [50, 10]
    assert dead.visits == 2  # once in a round, and not at all where others fill it


def test_what_waited_for_a_dead_room_arrives_once_when_it_is_back(cast: Cast, dead: Room) -> None:
    wait_for(channel(cast, dead), *warnings(120))
    for n in range(30):
        assert send_due(NOON + n * MINUTE) == 0
    assert dead.visits == 30
    dead.is_down = False
    for n in range(30, 120):
        send_due(NOON + n * MINUTE)
    assert len(heard(dead)) == sum(heard(dead).values()) == 120
    assert not ChatMessage.objects.filter(sent_at=None).exists()


def test_a_round_is_no_more_work_when_more_waits(cast: Cast, room: Room, dead: Room) -> None:
    dead_room = channel(cast, dead)
    wait_for(channel(cast, room), *warnings(20))
    done = []
    for more in (100, 900):
        ChatMessage.objects.filter(channel=dead_room).delete()
        wait_for(dead_room, *warnings(more))
        ChatMessage.objects.exclude(channel=dead_room).update(sent_at=None)
        ChatChannel.objects.update(problem="")
        with CaptureQueriesContext(connection) as asked:
            assert send_due(NOON) == 20
        done.append(len(asked))
    assert done[0] == done[1] <= 100


def test_no_dead_room_is_before_all_others_for_ever(
    cast: Cast, room: Room, dead: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a round has time for one attempt, each has its turn: one that is back among them."""
    monkeypatch.setattr(chat, "_AT_ONCE", 1)
    for one in (dead, dead, room):
        wait_for(channel(cast, one), *warnings(9))
    ChatChannel.objects.update(problem="down", problem_at=NOON - MINUTE)
    assert [send_due(NOON + n * MINUTE) for n in range(4)] == [0, 0, 1, 1]


def test_a_message_that_its_chat_never_takes_keeps_no_other_of_the_room(cast: Cast, room: Room) -> None:
    room.never_takes = "too long"
    made = channel(cast, room)
    wait_for(made, "too long 1", "too long 2", *warnings(60))
    for n in range(12):
        send_due(NOON + n * MINUTE)
    assert len(heard(room)) == sum(heard(room).values()) == 60
    for n in range(12, 14 * 24 * 60, 6 * 60):
        wait_for(made, f"later {n}", since=NOON + n * MINUTE)
        for soon in range(3):
            send_due(NOON + (n + soon) * MINUTE)
        assert heard(room)[f"later {n}"] == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_workers_beside_a_dead_room_say_nothing_twice(cast: Cast, room: Room, dead: Room) -> None:
    wait_for(channel(cast, dead), *warnings(60))
    wait_for(channel(cast, room), *warnings(60))
    sent = 0
    for n in range(4):
        outcomes = race([partial(send_due, NOON + n * MINUTE) for _n in range(2)])
        assert [one.error for one in outcomes] == [None, None]
        sent += sum(one.value for one in outcomes)
    assert len(heard(room)) == sum(heard(room).values()) == sent == 60


# ------------------------------------------------------------------ more than a chat takes at once
@pytest.fixture
def discord(room: Room, monkeypatch: pytest.MonkeyPatch) -> Room:
    """Discord on this computer: it refuses what is longer than the real one takes."""
    from apprise.plugins.discord import NotifyDiscord

    room.longest = 2000
    monkeypatch.setattr(NotifyDiscord, "notify_url", f"http://127.0.0.1:{room.server.server_port}")
    return room


def much_is_alarming(cast: Cast) -> None:
    budgets = [BudgetFacts(n, "course", f"Part {n}", Decimal(100), Decimal(85), Decimal(0)) for n in range(40)]
    evaluate(cast.course, facts(*budgets), now=NOON)
    put_due(NOON + 16 * MINUTE)
    assert len(ChatMessage.objects.get().body) > 3000


@pytest.mark.parametrize("more", ["", "?overflow=upstream", "?overflow=split", "?format=markdown"])
def test_what_is_too_long_for_discord_is_cut_behind_the_link_and_the_gravest(
    cast: Cast, discord: Room, more: str
) -> None:
    address = f"https://discord.com/api/webhooks/1234567/abcdefgh{more}"
    open_channel(cast.course, name="staff room", url=address, now=NOON)
    much_is_alarming(cast)
    assert send_due(NOON + 16 * MINUTE) == 1
    [said] = discord.said
    told = said.get("content") or said["embeds"][0]["description"]
    assert len(told) <= 2000
    assert told.index("/c/dl19/staff/alerts/") < told.index(
        "\n80 % of the budget of Part 0 is used\n$85.00 of $100.00."
    )


def test_what_is_too_long_for_teams_is_cut_behind_the_link_and_the_gravest(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    monkeypatch.setattr("requests.post", lambda _url, *, data, **_how: said.append(data) or Mock(status_code=202))
    address = "workflows://prod-1.westus.logic.azure.com:443/643e69f83c8944/KODuebWbDGYFr0z0eu/"
    open_channel(cast.course, name="staff room", url=address, now=NOON)
    much_is_alarming(cast)
    assert send_due(NOON + 16 * MINUTE) == 1
    [card] = [json.loads(one)["attachments"][0]["content"] for one in said]
    told = card["body"][-1]["text"]
    assert len(told) <= 1000
    assert told.index("/c/dl19/staff/alerts/") < told.index(
        "\n80 % of the budget of Part 0 is used\n$85.00 of $100.00."
    )


def test_a_chat_that_takes_all_of_it_is_told_all_of_it(cast: Cast, room: Room) -> None:
    channel(cast, room)
    much_is_alarming(cast)
    assert send_due(NOON + 16 * MINUTE) == 1
    assert room.said[0]["attachments"][0]["text"] == ChatMessage.objects.get().body.rstrip()


# ------------------------------------------------------------------ one room for each address
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


@pytest.mark.parametrize(
    "url",
    [
        f"{SLACK}/#good/#gone",
        f"{SLACK}/?to=good,gone",
        f"{SLACK}/#good/@ada",
        "matrixs://user:secret@matrix.example.org/#good/#gone",
        "matrixs://user:secret@matrix.example.org/#good/@ada",
        "matrixs://user:secret@matrix.example.org/",  # every room that this user has joined
    ],
)
def test_an_address_of_several_rooms_is_not_let_in(url: str) -> None:
    with pytest.raises(BadAddress, match="does not name exactly one room") as refused:
        service_of(url)
    assert url not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "service"),
    [
        (f"{SLACK}/#good", "Slack"),
        ("dingtalk://abcdef1234567/12345678901/12345678902", "DingTalk"),  # two people called by name in one message
        ("matrix://token@93.184.215.14/?mode=slack", "Matrix"),
    ],
)
def test_an_address_of_one_room_is_let_in(url: str, service: str) -> None:
    assert service_of(url) == service


@pytest.fixture
def slack(room: Room, monkeypatch: pytest.MonkeyPatch) -> Room:
    """Slack on this computer; one of its rooms is archived."""
    from apprise.plugins.slack import NotifySlack

    room.never_takes = "#gone"
    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://127.0.0.1:{room.server.server_port}")
    monkeypatch.setattr(NotifySlack, "request_rate_per_sec", 0)
    return room


def stored_earlier(cast: Cast, url: str) -> ChatChannel:
    return ChatChannel.objects.create(
        course=cast.course, name="rooms", service="Slack", sealed_url=seal(url), created_at=NOON
    )


def test_an_address_of_several_rooms_that_was_stored_earlier_repeats_nothing(cast: Cast, slack: Room) -> None:
    made = stored_earlier(cast, f"{SLACK}/#good/#gone")
    wait_for(made, *warnings(3))
    for n in range(0, 14 * 24 * 60, 60):
        send_due(NOON + n * MINUTE)
    assert Counter(one["channel"] for one in slack.said) == {"#good": 3}
    assert [sum(text in json.dumps(one) for one in slack.said) for text in warnings(3)] == [1, 1, 1]
    made.refresh_from_db()
    assert "Not every room of this address took the message. Add each room" in made.problem
    assert not ChatMessage.objects.filter(sent_at=None).exists()


def test_where_all_of_its_rooms_take_the_message_it_is_no_problem(cast: Cast, slack: Room) -> None:
    slack.never_takes = ""
    made = stored_earlier(cast, f"{SLACK}/#good/#other")
    wait_for(made, "warning")
    assert [send_due(NOON + n * MINUTE) for n in range(2)] == [1, 0]
    made.refresh_from_db()
    assert (len(slack.said), made.problem) == (2, "")


def test_an_address_of_one_room_is_tried_again(cast: Cast, slack: Room) -> None:
    made = open_channel(cast.course, name="room", url=f"{SLACK}/#gone", now=NOON)
    wait_for(made, "warning")
    assert [send_due(NOON + n * MINUTE) for n in range(2)] == [0, 0]
    slack.never_takes = ""
    assert sum(send_due(NOON + n * MINUTE) for n in range(2, 9)) == 1
    assert len(slack.said) == 1
