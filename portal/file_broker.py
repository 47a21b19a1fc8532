"""Messages as files, for the laptop: kombu's own transport, with messages that appear whole or not at all.

As it comes, a message's file is visible before it is written; a worker that takes it in between reads nothing,
calls that unrecoverable and ends, and with it every sweep.
"""

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps

SCHEME = "files"


class Channel(filesystem.Channel):
    def _put(self, queue: str, payload: Any, **_kwargs: Any) -> None:
        """The name sorts by the moment it was put; the ending is what a reader looks for, so it comes last."""
        folder = Path(self.data_folder_out)
        name = f"{_milliseconds()}_{uuid4()}.{queue}"
        unfinished = folder / f"{name}.unfinished"
        unfinished.write_bytes(str_to_bytes(dumps(payload)))
        os.replace(unfinished, folder / f"{name}.msg")


class Transport(filesystem.Transport):
    Channel = Channel


def _milliseconds() -> int:
    return round(filesystem.monotonic() * 1000)


def register() -> None:
    """Makes `files://` a broker address."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
