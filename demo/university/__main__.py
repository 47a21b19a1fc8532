"""`python -m demo.university --port P --folder DIR …`: prepares the folder, registers the portal, serves.

Everything the university knows lies in its folder: database, signing key, secret. Nothing of it is in git.
"""

import argparse
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo.university", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--client-id", default="lamplighter")
    parser.add_argument("--client-secret", required=True)
    parser.add_argument("--redirect-uri", required=True, help="the portal's callback address")
    return parser.parse_args()


def write_once(path: Path, make: Callable[[], str]) -> str:
    """The file's text; made and kept readable by its owner only on the first run."""
    if not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(make())
    return path.read_text()


def new_signing_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def register(client_id: str, secret: str, redirect_uri: str) -> None:
    from allauth.idp.oidc.models import Client

    client = Client.objects.filter(pk=client_id).first() or Client(pk=client_id)
    client.name, client.skip_consent = "Lamplighter", True
    client.set_scopes(["openid", "profile", "email"])
    client.set_redirect_uris([redirect_uri])
    client.set_secret(secret)
    client.save()


def main() -> None:
    options = arguments()
    options.folder.mkdir(parents=True, exist_ok=True)
    os.environ["DEMO_UNIVERSITY_FOLDER"] = str(options.folder.resolve())
    os.environ["DEMO_UNIVERSITY_ISSUER"] = f"http://{options.host}:{options.port}"
    os.environ["DEMO_UNIVERSITY_KEY"] = write_once(options.folder / "signing-key.pem", new_signing_key)
    os.environ["DEMO_UNIVERSITY_SECRET"] = write_once(options.folder / "secret.txt", secrets.token_urlsafe)
    os.environ["DJANGO_SETTINGS_MODULE"] = "demo.university.settings"

    import django
    from django.core.management import call_command
    from django.core.servers.basehttp import run
    from django.core.wsgi import get_wsgi_application

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    register(options.client_id, options.client_secret, options.redirect_uri)
    print(f"Demo University answers at {os.environ['DEMO_UNIVERSITY_ISSUER']}", flush=True)
    run(options.host, options.port, get_wsgi_application(), threading=True)


if __name__ == "__main__":
    main()
