"""Where one copy of the demo lives (ports, folder), and what its processes find in their environment."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parent.parent
PROVIDER = "demo-university"
CLIENT_ID = "lamplighter"
# What a shell may hold and the demo must not see: another database, real AWS keys, a proxy that eats 127.0.0.1.
_NOT_OURS = ("LAMPLIGHTER_", "AWS_", "CELERY_", "DJANGO_", "DEMO_", "GRANIAN_", "UVICORN_", "JUPYTER")
_NOT_OURS_EITHER = ("DATABASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "PYTHONHOME", "PYTHONPATH")


@dataclass(frozen=True, slots=True)
class Places:
    folder: Path
    port: int  # the portal's; the others follow it
    dial_out: str = ""  # courses whose machines dial out, to try that

    @classmethod
    def from_environment(cls) -> "Places":
        """Raises ValueError, with a line for the person who typed it."""
        said = os.environ.get("LAMPLIGHTER_PORT") or "8000"
        if not said.isdigit() or not 1024 <= int(said) <= 65531:
            raise ValueError(f"LAMPLIGHTER_PORT must be a number from 1024 to 65531, not {said!r}.")
        folder = Path(os.environ.get("LAMPLIGHTER_VAR") or ROOT / "var")
        dial_out = os.environ.get("LAMPLIGHTER_DIAL_OUT", "")
        return cls(folder=folder.expanduser().resolve(), port=int(said), dial_out=dial_out)

    @property
    def ports(self) -> dict[str, int]:
        names = ["the portal", "the notebook gateway", "Demo University", "the simulated AWS"]
        names += ["machines that dial in"] if self.dial_out else []
        return {name: self.port + n for n, name in enumerate(names)}

    @property
    def portal(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def gateway(self) -> str:
        return f"http://{HOST}:{self.port + 1}"

    @property
    def university(self) -> str:
        return f"http://{HOST}:{self.port + 2}"

    @property
    def cloud(self) -> str:
        return f"http://{HOST}:{self.port + 3}"

    @property
    def tunnel(self) -> str:
        return f"{HOST}:{self.port + 4}"

    @property
    def callback(self) -> str:
        return f"{self.portal}/accounts/oidc/{PROVIDER}/login/callback/"

    def client_secret(self) -> str:
        """What portal and university share: made once for each folder, never in git."""
        path = self.folder / "university" / "client-secret.txt"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe())
        return path.read_text()

    def network(self) -> dict[str, Any]:
        """What the simulated AWS says about itself; empty until it has said so."""
        path = self.folder / "cloud" / "network.json"
        try:
            return dict(json.loads(path.read_text()))
        except (OSError, ValueError):
            return {}

    def environment(self, run_id: str) -> dict[str, str]:
        """The whole environment of the demo's processes. `run_id` marks them as one run's."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_NOT_OURS) and name.upper() not in _NOT_OURS_EITHER
        }
        return kept | self._portal_settings() | self._cloud_settings() | {"LAMPLIGHTER_RUN_ID": run_id}

    def _portal_settings(self) -> dict[str, str]:
        provider = {
            "id": PROVIDER,
            "name": "Demo University",
            "issuer": self.university,
            "client_id": CLIENT_ID,
            "secret": self.client_secret(),
            "domains": ["demo.edu"],
            "hd": "demo.edu",
        }
        dialling = {
            "LAMPLIGHTER_DIAL_OUT": self.dial_out,
            "LAMPLIGHTER_TUNNEL_ADDRESS": self.tunnel,
            "LAMPLIGHTER_TUNNEL_LISTEN": self.tunnel,
        }
        return (dialling if self.dial_out else {}) | {
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "LAMPLIGHTER_DEMO": "1",
            "LAMPLIGHTER_VAR": str(self.folder),
            "LAMPLIGHTER_PORTAL_URL": self.portal,
            "LAMPLIGHTER_NOTEBOOK_DOMAIN": f"nb.localhost:{self.port + 1}",
            "LAMPLIGHTER_OIDC_PROVIDERS": json.dumps([provider]),
            "LAMPLIGHTER_EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "LAMPLIGHTER_SWEEP_SECONDS": "5",
        }

    def _cloud_settings(self) -> dict[str, str]:
        found = {
            "AWS_ENDPOINT_URL": self.cloud,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "demo",
            "AWS_SECRET_ACCESS_KEY": "demo",
            # Neither a profile of this account nor a metadata service may answer in place of these.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if network := self.network():
            zones = network["subnets"].items()
            found["LAMPLIGHTER_AWS_SUBNETS"] = ",".join(f"{zone}={subnet}" for zone, subnet in zones)
            found["LAMPLIGHTER_AWS_SECURITY_GROUP"] = network["security_group"]
            found["LAMPLIGHTER_AWS_SCHEDULER_ROLE_ARN"] = network["scheduler_role_arn"]
            found["LAMPLIGHTER_ARCHIVE_BUCKET"] = network["bucket"]
            found["LAMPLIGHTER_DEMO_IMAGE_ID"] = network["image_id"]  # for the seed's presets
        return found
