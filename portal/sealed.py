"""Every column that holds something sealed (`credits/vault.py`): what a new key must reach before the old can go."""

from django.db.models import Model

from credits.drafts import ImportDraft
from credits.models import CreditCode
from instances.models import Instance
from instances.tunnel_records import MachineTunnel, TunnelHost
from spend.models import ChatChannel

# What it is called, where it lies.
COLUMNS: tuple[tuple[str, type[Model], str], ...] = (
    ("AWS codes", CreditCode, "ciphertext"),
    ("lists before their confirmation", ImportDraft, "sealed"),
    ("chat rooms", ChatChannel, "sealed_url"),
    ("machines' notebooks", Instance, "notebook_token"),
    ("machines' agents", Instance, "agent_secret"),
    ("machines' tunnels", MachineTunnel, "private_key"),
    ("the tunnels' endpoint", TunnelHost, "private_key"),
)
