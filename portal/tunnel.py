"""`python -m portal.tunnel`: the endpoint that machines of another network dial out to, and people reach theirs by."""

import asyncio
import logging
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.conf import settings  # noqa: E402 - needs Django set up

from instances.tunnel.server import serve  # noqa: E402
from portal.checks import refuse_unsafe_start  # noqa: E402

if __name__ == "__main__":
    refuse_unsafe_start()
    # It tells of every knock, with whatever a stranger called themselves.
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    asyncio.run(serve(settings.TUNNEL_LISTEN, settings.TUNNEL_INSIDE))
