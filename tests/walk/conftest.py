"""One real demo for the whole walk, started as `make run` starts it, ended with it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.running import Launcher


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    launcher = Launcher.start(tmp_path_factory.mktemp("walk") / "var")
    try:
        launcher.wait_for_box()
        yield launcher
    finally:
        launcher.end()


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: LAMPLIGHTER_SCREENSHOTS, or a folder that is thrown away."""
    wanted = os.environ.get("LAMPLIGHTER_SCREENSHOTS")
    folder = Path(wanted) if wanted else tmp_path_factory.mktemp("album")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
