"""What one machine may take of the gateway: memory for messages on their way, and places.

A student owns both ends of a websocket, the machine as root and the browser by its cookie. What one of them piles up
must not end the notebooks of all: beyond its machine's share the websocket that holds most is cut. The share is of each
gateway process.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MESSAGE_MAX = 64 * 1024 * 1024  # bytes, from a machine; from a browser it is `--ws-max-size`
SHARE_MAX = 256 * 1024 * 1024  # bytes of one machine, both directions; copies for the wire come on top
SOCKETS_MAX = 200  # JupyterLab opens one for each kernel and terminal and one for each tab; lost ones stay for minutes
REQUESTS_MAX = 200  # at once; a page of JupyterLab asks for a hundred files

_ends: defaultdict[str, set["Holding"]] = defaultdict(set)


class Holding:
    """The part of one end of one websocket. `cut` is called once, when it must go."""

    def __init__(self, machine: str, cut: Callable[[], None]) -> None:
        self.machine = machine
        self.size = 0
        self.is_cut = False
        self._cut = cut
        _ends[machine].add(self)

    def take(self, size: int) -> bool:
        """So many bytes more. False when this end is cut.

        What was cut counts until it is let go: on a busy gateway that takes a second, in which others pile up. Those
        that hold little stay meanwhile, so that no terminal goes with a neighbour that pours; all of them together hold
        no more than another share.
        """
        if self.is_cut:
            return False
        self.size += size
        ends = _ends.get(self.machine, set())
        if sum(end.size for end in ends) > SHARE_MAX:
            largest = max((end for end in ends if not end.is_cut), key=lambda end: end.size, default=self)
            if largest.size > SHARE_MAX // (2 * SOCKETS_MAX):  # a websocket has two ends
                largest.is_cut = True
                largest._cut()
        return not self.is_cut

    def give_back(self, size: int) -> None:
        self.size = max(0, self.size - size)

    def end(self) -> None:
        _ends[self.machine].discard(self)
        if not _ends[self.machine]:
            del _ends[self.machine]


class Full(Exception):
    """The machine has as many open as it may."""


class Places:
    def __init__(self, most: int) -> None:
        self.most = most
        self._taken: Counter[str] = Counter()

    @contextmanager
    def one(self, machine: str) -> Iterator[None]:
        if self._taken[machine] >= self.most:
            raise Full(machine)
        self._taken[machine] += 1
        try:
            yield
        finally:
            self._taken -= Counter([machine])
