"""Every column that holds something sealed (`credits/vault.py`): what a new key must reach before the old can go."""

from typing import Any

from django.db.models import QuerySet

from credits.drafts import ImportDraft
from credits.models import CreditCode
from instances.models import Instance
from instances.states import ENDED
from instances.tunnel_records import MachineTunnel, TunnelHost
from spend.models import ChatChannel

# What it is called, where it lies. Nobody asks for the secrets of a machine that is gone: whoever took its key away
# did no harm, and is not told that something is lost.
COLUMNS: tuple[tuple[str, QuerySet[Any], str], ...] = (
    ("AWS codes", CreditCode.objects.all(), "ciphertext"),
    ("lists before their confirmation", ImportDraft.objects.all(), "sealed"),
    ("chat rooms", ChatChannel.objects.all(), "sealed_url"),
    ("machines' notebooks", Instance.objects.exclude(state__in=ENDED), "notebook_token"),
    ("machines' agents", Instance.objects.exclude(state__in=ENDED), "agent_secret"),
    ("machines' tunnels", MachineTunnel.objects.exclude(instance__state__in=ENDED), "private_key"),
    ("the tunnels' endpoint", TunnelHost.objects.all(), "private_key"),
)
