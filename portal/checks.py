"""Refuses to start production with a setting that only the demo may have, and the demo where others could reach it.

Each rule is a small function that says what is wrong and what to do, or nothing. Web servers and workers do not run
system checks by themselves: they call `refuse_unsafe_start`.
"""

import os
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

DEMO_CODE_KEY = "ZGVtby1vbmx5LWtleS1uZXZlci11c2UtaW4tcHJvZCE="
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
Finding = tuple[str, str] | None  # what is wrong, what to do


def _secret_key() -> Finding:
    if settings.SECRET_KEY == settings.DEMO_SECRET or len(settings.SECRET_KEY) < 50:
        return "LAMPLIGHTER_SECRET_KEY is the demo's, or short.", "Set it to a random text of 50 characters or more."
    return None


def _code_keys() -> Finding:
    do = "Set it to Fernet keys, newest first; docs/operations.md says how to make one."
    if not settings.CODE_KEYS or DEMO_CODE_KEY in settings.CODE_KEYS:
        return "LAMPLIGHTER_CODE_KEYS is the demo's, or empty: AWS codes would lie open.", do
    try:
        [Fernet(key) for key in settings.CODE_KEYS]
    except ValueError:
        return "LAMPLIGHTER_CODE_KEYS holds something that is not a Fernet key.", do
    return None


def _code_hash_key() -> Finding:
    if settings.CODE_HASH_KEY == settings.DEMO_SECRET or len(settings.CODE_HASH_KEY) < 32:
        return "LAMPLIGHTER_CODE_HASH_KEY is the demo's, or short.", "Set it to a random text of 32 characters or more."
    return None


def _endpoint() -> Finding:
    # boto3 itself reads one variable for each service, too: any of them would send our calls elsewhere.
    names = sorted(name for name in os.environ if name.startswith("AWS_ENDPOINT_URL") and os.environ[name])
    if names or settings.AWS_ENDPOINT_URL:
        return f"{', '.join(names) or 'AWS_ENDPOINT_URL'} points away from AWS.", "Unset it: only the demo may use it."
    return None


def _cloud() -> Finding:
    if settings.CLOUD_BACKEND != "cloud.ec2.Ec2Cloud":
        return f"LAMPLIGHTER_CLOUD is {settings.CLOUD_BACKEND}: no real machine would start.", "Unset it."
    return None


def _debug() -> Finding:
    if settings.DEBUG:
        return "LAMPLIGHTER_DEBUG is on: errors would show settings to everybody.", "Unset it."
    return None


def _mail() -> Finding:
    if settings.EMAIL_BACKEND.split(".")[-2] in {"filebased", "console", "locmem", "dummy"}:
        return "LAMPLIGHTER_EMAIL_BACKEND sends nothing to anybody.", "Unset it and set LAMPLIGHTER_EMAIL_HOST."
    return None


def _database() -> Finding:
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        return "The database is SQLite, which is the laptop's.", "Set DATABASE_URL to a PostgreSQL database."
    return None


def _broker() -> Finding:
    if settings.CELERY_BROKER_URL.partition(":")[0] in {"files", "filesystem", "memory"}:
        return "The queue is the laptop's.", "Set LAMPLIGHTER_BROKER_URL to redis://… or amqp://…"
    return None


def _portal_url() -> Finding:
    if not settings.PORTAL_URL.startswith("https://"):
        return f"LAMPLIGHTER_PORTAL_URL is {settings.PORTAL_URL}.", "Set it to the https:// address that people type."
    return None


def _allowed_hosts() -> Finding:
    host = urlsplit(settings.PORTAL_URL).hostname
    if "*" in settings.ALLOWED_HOSTS or host not in settings.ALLOWED_HOSTS:
        return "LAMPLIGHTER_ALLOWED_HOSTS is open, or lacks the portal's own host.", f"Set it to {host}."
    return None


def _notebook_hosts() -> Finding:
    portal, notebooks = urlsplit(settings.PORTAL_URL).hostname or "", settings.NOTEBOOK_DOMAIN.partition(":")[0]
    if settings.NOTEBOOK_SCHEME != "https":
        return "LAMPLIGHTER_NOTEBOOK_SCHEME is not https.", "Set it to https."
    if portal == notebooks or portal.endswith(f".{notebooks}"):
        return (
            "LAMPLIGHTER_NOTEBOOK_DOMAIN holds the portal's own host: a notebook could read the portal's pages.",
            "Give the notebooks a domain of their own, such as nb.example.edu beside gpu.example.edu.",
        )
    return None


def _issuers() -> Finding:
    addresses = [(p["id"], p["issuer"]) for p in settings.OIDC_PROVIDERS]
    addresses += [(p["id"], p["sso_url"]) for p in settings.SAML_PROVIDERS]
    open_ones = [str(name) for name, address in addresses if not str(address).startswith("https://")]
    if open_ones:  # the identity token's signature is trusted because TLS brought it
        return (
            f"The issuer of {', '.join(open_ones)} is not https.",
            "Set https addresses in LAMPLIGHTER_OIDC_PROVIDERS and LAMPLIGHTER_SAML_PROVIDERS.",
        )
    return None


def _clients_are_unique() -> Finding:
    everyone = [*settings.OIDC_PROVIDERS, *settings.SAML_PROVIDERS]
    for key in ("id", "client_id", "entity_id"):
        twice = [value for value, count in Counter(p[key] for p in everyone if key in p).items() if count > 1]
        if twice:  # allauth finds a provider again by its client id: two of them end every sign-in
            return f"Two identity providers share the {key} {twice[0]}.", "Ask one of them for another one."
    return None


def _each_speaks_for_its_own() -> Finding:
    if len(settings.OIDC_PROVIDERS) + len(settings.SAML_PROVIDERS) > 1 and not all(
        p.get("domains") for p in settings.OIDC_PROVIDERS
    ):
        return "One of several identity providers may vouch for any address.", "Give each of them its domains."
    return None


def _google_names_its_domain() -> Finding:
    for provider in settings.OIDC_PROVIDERS:
        # Google signs in every address on earth; the claim alone says that it is the university's own.
        if urlsplit(str(provider["issuer"])).hostname == "accounts.google.com" and not provider.get("hd"):
            return f"The provider {provider['id']} is Google without “hd”.", "Set hd to the university's Google domain."
    return None


def _saml_packages() -> Finding:
    if settings.SAML_PROVIDERS and not settings.SAML_INSTALLED:
        return (
            "LAMPLIGHTER_SAML_PROVIDERS is set, but its packages are missing.",
            "pip install -r requirements-saml.txt",
        )
    return None


def _saml_providers() -> Finding:
    for provider in settings.SAML_PROVIDERS:
        name, domains = provider["id"], provider["domains"]
        if not isinstance(domains, list) or not all(isinstance(d, str) and d and "@" not in d for d in domains):
            return f"The domains of {name} are no list of domains.", 'Write "domains": ["example.edu"].'
        if provider.get("affiliations") and not provider.get("scope"):
            return f"{name} has affiliations without a scope.", "Set scope to what stands behind the @ in them."
        if bool(provider.get("sp_cert")) != bool(provider.get("sp_key")):
            return f"{name} has one of sp_cert and sp_key.", "Set both, or neither."
    return None


def _tunnel_address() -> Finding:
    if settings.DIAL_OUT and not _is_place(settings.TUNNEL_ADDRESS):
        return "LAMPLIGHTER_DIAL_OUT is set, and machines are not told whom to dial.", "Set LAMPLIGHTER_TUNNEL_ADDRESS."
    if not _is_place(settings.TUNNEL_LISTEN):
        return "LAMPLIGHTER_TUNNEL_LISTEN is no host:port.", "Write it like 0.0.0.0:2222."
    if settings.SSH_ADDRESS and not _is_place(settings.SSH_ADDRESS):
        return "LAMPLIGHTER_SSH_ADDRESS is no host:port.", "Write it like ssh.example.edu:2222."
    return None


def _is_place(text: str) -> bool:
    host, _colon, port = text.rpartition(":")
    return bool(host) and " " not in host and port.isdigit()


def _demo_stays_here() -> Finding:
    if settings.DEMO and urlsplit(settings.PORTAL_URL).hostname not in LOOPBACK:
        return (
            "The demo's keys are public and its notebooks are shells on this computer.",
            "Serve the demo at 127.0.0.1 only, or unset LAMPLIGHTER_DEMO and configure production.",
        )
    return None


# The numbers are kept when a rule goes, so that an old log line still means what it meant.
PRODUCTION: dict[str, Callable[[], Finding]] = {
    "portal.E001": _secret_key,
    "portal.E002": _code_keys,
    "portal.E003": _code_hash_key,
    "portal.E004": _endpoint,
    "portal.E005": _debug,
    "portal.E006": _mail,
    "portal.E007": _cloud,
    "portal.E008": _portal_url,
    "portal.E009": _allowed_hosts,
    "portal.E010": _notebook_hosts,
    "portal.E011": _issuers,
    "portal.E012": _database,
    "portal.E013": _broker,
}
ALWAYS: dict[str, Callable[[], Finding]] = {
    "portal.E020": _clients_are_unique,
    "portal.E021": _each_speaks_for_its_own,
    "portal.E022": _demo_stays_here,
    "portal.E023": _google_names_its_domain,
    "portal.E024": _saml_packages,
    "portal.E025": _saml_providers,
    "portal.E026": _tunnel_address,
}
# (id, setting, what does not work without it)
NEEDED = [
    ("portal.W001", "SIGN_IN_DOORS", "nobody can sign in"),
    ("portal.W002", "AWS_SUBNETS", "no machine can be launched"),
    ("portal.W003", "AWS_SECURITY_GROUP", "no machine can be launched"),
    ("portal.W004", "AWS_SCHEDULER_ROLE_ARN", "AWS cannot stop a machine at the end of its lease by itself"),
    ("portal.W005", "SECURE_PROXY_SSL_HEADER", "requests look unencrypted (LAMPLIGHTER_BEHIND_TLS)"),
]


@register()
def settings_are_safe(**_kwargs: object) -> list[CheckMessage]:
    rules = ALWAYS if settings.DEMO else {**PRODUCTION, **ALWAYS}
    found = [(ident, rule()) for ident, rule in rules.items()]
    return [Error(finding[0], hint=finding[1], id=ident) for ident, finding in found if finding]


@register(deploy=True)
def settings_are_complete(**_kwargs: object) -> list[CheckMessage]:
    return [
        Warning(f"{name} is empty: {effect}.", id=ident)
        for ident, name, effect in NEEDED
        if not getattr(settings, name)
    ]


def refuse_unsafe_start() -> None:
    """Called by each server process. Raises SystemExit: Celery swallows every other exception of a start-up hook."""
    errors = settings_are_safe()
    if errors:
        raise SystemExit("Refusing to start.\n" + "\n".join(f"  {e.id}: {e.msg} {e.hint}" for e in errors))
