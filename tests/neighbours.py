"""Which tests stay together in one process when several work side by side (pytest-xdist).

A scheduler of our own: pytest-xdist 3.8 writes its groups where pytest 9.2 does not look, so `--dist loadgroup` spreads
the tests of a file over all processes, and each of them seeds the course, starts the servers and the browser again.
"""

from functools import cache
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parent.parent
ALONE = ("tests/cloud", "tests/machine")


@cache
def group_of(file: str) -> str:
    """A file's tests stay together: they share a browser, a simulator. What empties the one Redis database comes one
    after the other; so does what measures a machine's processes by the clock, while simulated AWS mostly waits."""
    text = (ROOT / file).read_text()
    folder = file.rpartition("/")[0]
    if "pytest.mark.alone" in text:
        assert folder in ALONE, f"{file}: `make test` looks for what is alone in {ALONE}, and would never run it"
        return folder
    return "redis" if "pytest.mark.redis" in text else file


def file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]


class Neighbours(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return group_of(file_of(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return Neighbours(config, log)
