"""Chat rooms: which addresses are let in, sealed; one message each, also when the chat was down."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from spend import chat
from spend.alarming import evaluate, put_due
from spend.chat import BadAddress, open_channel, send_due, service_of
from spend.models import ChatChannel, ChatMessage, Gravity
from tests.conftest import Cast
from tests.spend.rooms import Room
from tests.spend.test_alarming import course_used, facts, used

NOON = datetime(2019, 3, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


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


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "10.1.2.3", "localhost", "no-such-host.invalid"])
def test_a_server_inside_the_house_is_no_chat(settings: Settings, host: str) -> None:
    settings.DEMO = False
    with pytest.raises(BadAddress):
        service_of(f"matrix://token@{host}/?mode=slack")


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
