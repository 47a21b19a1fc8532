"""Asks many notebooks at once, and is done in time. Each is its student's, root included: one that answers by the byte,
or without end, must keep neither the others nor the round waiting.
"""

import asyncio
import logging
import random
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, StreamReader

from instances.gateway.wire import connector

logger = logging.getLogger(__name__)

ROUND_SECONDS = 10.0  # for all questions of a round
AT_ONCE = 256  # each is an open file, of which a process may have few: 1024 under systemd
WINDOW = 16 * 1024  # bytes of each that may wait to be read


@dataclass(frozen=True, slots=True)
class Question:
    address: str  # `host:port`
    path: str
    token: str = ""
    most_bytes: int = 0  # of the answer's body; beyond them it is no answer


def ask_all(questions: Sequence[Question], seconds: float) -> list[bytes | None]:
    """What each said with status 200, in their order; None: nothing of the kind within `seconds` from the connection to
    the last byte. Without `most_bytes` the status is enough, and no body is waited for."""
    return asyncio.run(_ask_all(questions, seconds)) if questions else []


async def _ask_all(questions: Sequence[Question], seconds: float) -> list[bytes | None]:
    until = asyncio.get_running_loop().time() + ROUND_SECONDS
    free = asyncio.Semaphore(AT_ONCE)
    # In another order each time: should the round be too short for all, it is not always the same who are left out.
    order = random.sample(range(len(questions)), len(questions))
    async with _session() as session:
        said = await asyncio.gather(*(_in_time(session, questions[n], free, seconds, until) for n in order))
    found = dict(zip(order, said, strict=True))
    return [found[n] for n in range(len(questions))]


def _session() -> ClientSession:
    """Without a time of its own: what aiohttp measures for each read alone would bound nothing."""
    return ClientSession(
        connector=connector(socket_factory=_narrow),
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(),
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,  # a few bytes may unpack to gigabytes
    )


def _narrow(info: tuple[Any, ...]) -> socket.socket:
    """One that takes little at a time: what pours out of some notebooks leaves the others their turn."""
    made = socket.socket(*info[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
    return made


async def _in_time(
    session: ClientSession, question: Question, free: asyncio.Semaphore, seconds: float, until: float
) -> bytes | None:
    try:
        async with asyncio.timeout_at(until), free, asyncio.timeout(seconds):
            return await _ask(session, question)
    except (ClientError, OSError):
        return None  # nobody there, no HTTP, or too slow
    except Exception:  # a library in a student's hands: nothing of it may end the round
        logger.exception("%s: asked, with an error", question.address)
        return None


async def _ask(session: ClientSession, question: Question) -> bytes | None:
    head = {"Authorization": f"token {question.token}"} if question.token else {}
    # No redirect is followed: it would lead to where the portal can go and its student cannot.
    async with session.get(f"http://{question.address}{question.path}", headers=head, allow_redirects=False) as answer:
        try:
            return await _body(answer.content, question.most_bytes) if answer.status == HTTPStatus.OK else None
        finally:
            answer.close()  # kept for another question, it would be one of the open files


async def _body(stream: StreamReader, most: int) -> bytes | None:
    said = bytearray()
    while most and (some := await stream.read(most + 1 - len(said))):
        said += some
        if len(said) > most:
            return None
    return bytes(said)
