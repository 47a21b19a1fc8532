"""Where we are: addresses and cookie names of the notebook hosts, from the settings."""

from urllib.parse import quote, urlencode

from django.conf import settings

from instances.gateway.headers import TICKET_PATH


def origin_of(slug: str) -> str:
    return f"{settings.NOTEBOOK_SCHEME}://{slug}.{settings.NOTEBOOK_DOMAIN}"


def entry_url(slug: str, ticket: str) -> str:
    return f"{origin_of(slug)}{TICKET_PATH}?{urlencode({'t': ticket})}"


def portal_url(slug: str, path: str, state: str = "") -> str:
    """The portal's way into this notebook: signs in if need be, waits, comes back to `path` with a ticket."""
    url = f"{machine_page(slug)}notebook?path={quote(path, safe='/')}"
    return f"{url}&state={state}" if state else url


def machine_page(slug: str) -> str:
    # Not `reverse`: that imports every page of the portal with all they need into a process that shows none.
    return f"{settings.PORTAL_URL}/machines/{slug}/"


def machine_url(address: str, path_and_query: str) -> str:
    """`address`: host and port, as `reaching.notebook_at` says it."""
    return f"http://{address}{path_and_query}"


def cookie_name(name: str = "nb_grant") -> str:
    """With TLS under a name that browsers let no other host and no script set."""
    return f"__Host-{name}" if settings.NOTEBOOK_SCHEME == "https" else name


def set_cookie(name: str, value: str) -> tuple[bytes, bytes]:
    """For this host alone and until the browser is closed; the portal's own session may well last longer."""
    secure = "; Secure" if settings.NOTEBOOK_SCHEME == "https" else ""
    return (b"set-cookie", f"{cookie_name(name)}={value}; Path=/; HttpOnly; SameSite=Lax{secure}".encode())


def our_cookies() -> tuple[str, ...]:
    """What a machine must neither see nor set."""
    ours = ("nb_grant", "__Host-nb_grant", "nb_state", "__Host-nb_state")
    return (*ours, settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME)
