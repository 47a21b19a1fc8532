"""Clients that cost little: prepared bytes over kept connections, so that two processors are left to the server."""

import asyncio
import multiprocessing
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

Address = tuple[str, int]
Request = bytes
_fork = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Answers:
    seconds: float  # of the whole round
    statuses: dict[int, int]
    times: list[float]  # of each request, from when it was due


def closed_loop(address: Address, requests: Sequence[Request], *, clients: int, processes: int = 1) -> Answers:
    """Each client sends its next request as soon as it has its answer: what the server can do."""
    shares = [requests[n::processes] for n in range(processes)]
    began = time.monotonic()
    with _fork.Pool(processes) as pool:
        parts = pool.map(partial(_closed, address, max(1, clients // processes)), shares)
    return _together(parts, time.monotonic() - began)


def open_loop(address: Address, requests: Sequence[Request], *, seconds: float, seed: int = 1) -> Answers:
    """Each request at its own moment and on its own connection, as people come, however long others wait."""
    rng = random.Random(seed)
    moments = sorted(rng.uniform(0, seconds) for _r in requests)
    began = time.monotonic()
    with _fork.Pool(1) as pool:
        part = pool.apply(_open, (address, list(zip(moments, requests, strict=True))))
    return _together([part], time.monotonic() - began)


Part = list[tuple[int, float]]


def _together(parts: list[Part], seconds: float) -> Answers:
    statuses: dict[int, int] = {}
    for status, _taken in (pair for part in parts for pair in part):
        statuses[status] = statuses.get(status, 0) + 1
    return Answers(seconds, statuses, sorted(taken for part in parts for _status, taken in part))


def _closed(address: Address, clients: int, requests: Sequence[Request]) -> Part:
    async def client(share: Sequence[Request]) -> Part:
        reader, writer = await asyncio.open_connection(*address)
        found = []
        for request in share:
            began = time.monotonic()
            found.append((await _ask(reader, writer, request), time.monotonic() - began))
        writer.close()
        return found

    async def all_clients() -> Part:
        parts = await asyncio.gather(*(client(requests[n::clients]) for n in range(clients)))
        return [pair for part in parts for pair in part]

    return asyncio.run(all_clients())


def _open(address: Address, timed: list[tuple[float, Request]]) -> Part:
    async def person(due: float, request: Request) -> tuple[int, float]:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        reader, writer = await asyncio.open_connection(*address)
        status = await _ask(reader, writer, request)
        writer.close()
        return status, time.monotonic() - due

    async def all_people() -> Part:
        start = time.monotonic() + 0.1
        return list(await asyncio.gather(*(person(start + moment, request) for moment, request in timed)))

    return asyncio.run(all_people())


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request) -> int:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length or 0))
    return int(head.split(b" ", 2)[1])
