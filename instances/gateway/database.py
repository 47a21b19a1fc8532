"""Database work for an asynchronous process: a few threads, and no connection outlives its question."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

P = ParamSpec("P")
T = TypeVar("T")

# Also the most connections that the gateway ever holds. Persistent ones pile up under ASGI until the server
# answers "too many clients"; opening one costs milliseconds, and answers are cached for seconds.
THREADS = 8
_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="gateway-database")


async def in_database(question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The answer of a synchronous function that uses the ORM."""

    def ask() -> T:
        try:
            return question(*args, **kwargs)
        finally:
            connections.close_all()

    return await sync_to_async(ask, thread_sensitive=False, executor=_threads)()
