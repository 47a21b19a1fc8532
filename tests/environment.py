"""What every test process finds in its environment. A plugin (`-p` in pyproject.toml), because pytest-django reads the
settings before any conftest.py is imported: what a conftest sets comes too late for them."""

import gc
import os

os.environ.setdefault("LAMPLIGHTER_DEMO", "1")
os.environ.setdefault("LAMPLIGHTER_EMAIL_BACKEND", "django.core.mail.backends.locmem.EmailBackend")
# No test pulls PostgreSQL's plug, so a commit need not wait for the disk (nor in the processes that a test starts).
os.environ.setdefault("PGOPTIONS", "-c synchronous_commit=off")


def pytest_collection_finish() -> None:
    """What is imported by now stays until the end: nobody need look through it for rubbish after every few objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
