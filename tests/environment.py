"""What every test process finds in its environment. A plugin (`-p` in pyproject.toml), because pytest-django reads the
settings before any conftest.py is imported: what a conftest sets comes too late for them."""

import os

os.environ.setdefault("LAMPLIGHTER_DEMO", "1")
os.environ.setdefault("LAMPLIGHTER_EMAIL_BACKEND", "django.core.mail.backends.locmem.EmailBackend")
# No test pulls PostgreSQL's plug, so a commit need not wait for the disk (nor in the processes that a test starts).
os.environ.setdefault("PGOPTIONS", "-c synchronous_commit=off")
