"""Addresses and ports of this test process alone, so that several test runs on one computer do not meet."""

import os
import socket
from contextlib import closing

# 127.20 to 127.49: below those that simulated accounts choose for themselves (cloud/sim/network.py).
_BLOCK = f"127.{20 + os.getpid() % 30}.{os.getpid() // 30 % 250}"


def address(number: int) -> str:
    """One of this process's loopback addresses; `number` from 1 to 254."""
    return f"{_BLOCK}.{number}"


def free_port() -> int:
    """A port that nothing listens on, by the system's choice."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
