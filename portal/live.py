"""The notebook gateway, for uvicorn. The options that it needs, and why: docs/architecture.md."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from instances.gateway.app import Gateway  # noqa: E402 - needs Django set up
from portal.checks import refuse_unsafe_start  # noqa: E402

refuse_unsafe_start()
application = Gateway()
