"""Says who may enter, and when it is over for those who are in.

Answers are remembered for two seconds: a page of JupyterLab asks a hundred times at once.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import Error as DatabaseError
from django.utils import timezone

from instances import grants
from instances.gateway.database import in_database

log = logging.getLogger(__name__)

FRESH_SECONDS = 2.0  # the longest that a revoked grant still works
RECHECK_SECONDS = 3.0  # between looks at a websocket or a long transfer
REMEMBERED_MAX = 4096  # answers; anybody can make up cookies
COOKIES_MAX = 8  # a sibling page can plant more cookies of our name; each costs a question


@dataclass(slots=True)
class _Answer:
    task: "asyncio.Task[grants.Access | None]"
    asked_at: float  # monotonic seconds


class Doorkeeper:
    def __init__(self) -> None:
        self._answers: dict[tuple[str, str], _Answer] = {}

    async def access(self, cookies: Sequence[str], slug: str) -> grants.Access | None:
        """The access that any of the cookies gives to this machine. Database errors are raised, not remembered."""
        for cookie in cookies[:COOKIES_MAX]:
            found = await self._ask(cookie, slug)
            if found:
                return found
        return None

    async def until_over(self, cookies: Sequence[str], slug: str) -> grants.Access | None:
        """Returns when the access has ended: None when the grant is over, else the access to a machine that is away."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            try:
                access = await self.access(cookies, slug)
            except DatabaseError:
                # Not a refusal: work in a notebook outlives a restart of the database.
                log.warning("%s not looked at again: the database does not answer", slug)
                continue
            if access is None or not access.reachable:
                return access

    async def _ask(self, cookie: str, slug: str) -> grants.Access | None:
        key = (hashlib.sha256(cookie.encode(errors="replace")).hexdigest(), slug)
        answer = self._answers.get(key)
        if answer is None or time.monotonic() - answer.asked_at > FRESH_SECONDS or _failed(answer.task):
            self._forget_old()
            question = in_database(grants.check_grant, cookie, slug, now=timezone.now())
            answer = self._answers[key] = _Answer(asyncio.ensure_future(question), time.monotonic())
        # Shared by everybody who waits for it: one who goes away must not take the answer along.
        return await asyncio.shield(answer.task)

    def _forget_old(self) -> None:
        if len(self._answers) >= REMEMBERED_MAX:
            limit = time.monotonic() - FRESH_SECONDS
            self._answers = {key: old for key, old in self._answers.items() if old.asked_at > limit}


def _failed(task: "asyncio.Task[grants.Access | None]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
