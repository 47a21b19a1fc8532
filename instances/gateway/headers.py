"""Which requests may pass to a machine and which headers go with them, both ways. Pure: no Django, no network.

The machine is its student's, root included: whatever it answers is hostile to every other host and to the portal.
"""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import unquote

Header = tuple[str, str]  # the name in lower case

TICKET_PATH, READY_PATH, SCRIPT_PATH, HEALTH_PATH = "/_nb/enter", "/_nb/ready", "/_nb/wait.js", "/_nb/health"
OWN_PATHS = "/_nb/"
HOME = "/lab"
PATH_MAX = 500
_DECODED = 4  # times at most: a server decodes once; a path of 64 kB could be decoded for minutes

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Ours to say, or not the machine's to know. `expect` was answered by our own server.
_NOT_TO_MACHINE = frozenset({"authorization", "cookie", "host", "expect", "forwarded", "x-real-ip", "x-scheme"})
_WEBSOCKET = frozenset(
    {"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol"}
)
# Each of these reaches beyond the machine's own host: Clear-Site-Data signs people out of every sibling and of a
# portal on the same site; the others pin or move traffic in ways that outlive the machine.
_NOT_FROM_MACHINE = frozenset({b"clear-site-data", b"strict-transport-security", b"public-key-pins", b"alt-svc"})
# A second policy narrows the first: frames by foreign sites stop, whatever JupyterLab itself allows stays as it is.
_ALWAYS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"origin-agent-cluster", b"?1"),  # document.domain can no longer join two machines
)
_UNLESS_SAID: tuple[tuple[bytes, bytes], ...] = (
    (b"referrer-policy", b"same-origin"),  # file names are in the addresses
    (b"cross-origin-opener-policy", b"same-origin-allow-popups"),
)
_BAD_IN_PATH = re.compile(r"[\x00-\x20\x7f\\]|[^\x00-\x7f]")


def values(headers: Iterable[Header], name: str) -> list[str]:
    return [value for key, value in headers if key == name]


def first(headers: Iterable[Header], name: str) -> str:
    return next((value for key, value in headers if key == name), "")


def slug_of(host: str, domain: str) -> str | None:
    """The machine that a Host header names: exactly one label below the notebook domain (port included)."""
    label, dot, rest = host.lower().partition(".")
    return label if dot and label and rest == domain.lower() else None


def local_path(text: str) -> str:
    """The text if it is a plain path on the same host, else the front page. Keeps redirects at home.

    Without dot segments, which browsers take out: what is judged here must be what is asked for in the end.
    """
    plain = text.startswith("/") and not text.startswith(("//", OWN_PATHS)) and len(text) <= PATH_MAX
    dotted = {".", ".."} & set(segments(text))
    return text if plain and not dotted and not _BAD_IN_PATH.search(text) else HOME


def segments(address: str) -> list[str]:
    """The path's parts as whoever decodes it, even more than once, reads them."""
    path = re.split("[?#]", address, maxsplit=1)[0]
    for _again in range(_DECODED):
        path = unquote(path)
    return path.split("/")


def is_navigation(method: str, headers: Sequence[Header]) -> bool:
    """A person opening a page in a tab, who can be sent to sign in; not a script, a frame or a picture."""
    if method != "GET":
        return False
    mode = first(headers, "sec-fetch-mode")
    if mode:
        return mode == "navigate" and first(headers, "sec-fetch-dest") == "document"
    return "text/html" in first(headers, "accept")


def from_own_page(headers: Sequence[Header]) -> bool:
    """Whether a page of this very host asks, by the word of the browser. Older ones do not say."""
    return values(headers, "sec-fetch-site") == ["same-origin"]


def fetch_allowed(method: str, headers: Sequence[Header], origin: str, *, websocket: bool = False) -> bool:
    """Whether this request was made by a page of this very host, or by a person opening it.

    With the token added by us the notebook server checks neither XSRF nor Origin, and SameSite cookies do travel
    between sibling machines: without this, a page on one machine opens terminals on another.
    """
    origins = values(headers, "origin")
    if any(sent != origin for sent in origins):
        return False
    if websocket and not origins:
        return False  # each browser sends it
    sites = values(headers, "sec-fetch-site")
    if any(site not in ("same-origin", "none") for site in sites):
        return not websocket and is_navigation(method, headers)
    return method in _SAFE or bool(origins) or bool(sites)


def cookies_named(headers: Sequence[Header], names: Sequence[str]) -> list[str]:
    """Every value sent under one of the names. Siblings can plant further ones, so the first is not *the* one."""
    pairs = (part.strip().partition("=") for part in _cookie_parts(headers))
    return list(dict.fromkeys(value for name, equals, value in pairs if equals and name in names))


def to_machine(headers: Sequence[Header], *, host: str, scheme: str, token: str, ours: Sequence[str]) -> list[Header]:
    """What the machine gets: the browser's headers without ours, without lies, with its token."""
    named = {word.strip().lower() for value in values(headers, "connection") for word in value.split(",")}
    drop = _HOP_BY_HOP | _NOT_TO_MACHINE | _WEBSOCKET | named
    if values(headers, "transfer-encoding"):
        drop |= {"content-length"}  # of two lengths, each server may believe another: request smuggling
    kept = [(name, value) for name, value in headers if name not in drop and not name.startswith("x-forwarded-")]
    cookie = "; ".join(part for part in _cookie_parts(headers) if part.partition("=")[0].strip() not in ours)
    if cookie:
        kept.append(("cookie", cookie))  # one header: two are legal in HTTP/2 only
    return [*kept, ("host", host), ("x-forwarded-proto", scheme), ("authorization", f"token {token}")]


def from_machine(headers: Sequence[tuple[bytes, bytes]], *, ours: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """What the browser gets: the machine's headers without those that reach beyond its host, and our own added."""
    lower = [(name.lower(), value) for name, value in headers]
    named = {word.strip().lower() for name, value in lower if name == b"connection" for word in value.split(b",")}
    drop = {name.encode() for name in _HOP_BY_HOP} | _NOT_FROM_MACHINE | named | {b"x-frame-options"}
    kept = [
        (name, value)
        for name, value in lower
        if name not in drop and not (name == b"set-cookie" and not _cookie_may_pass(value, ours))
    ]
    said = {name for name, _value in kept}
    return [*kept, *_ALWAYS, *(pair for pair in _UNLESS_SAID if pair[0] not in said)]


def _cookie_parts(headers: Sequence[Header]) -> list[str]:
    return [part.strip() for value in values(headers, "cookie") for part in value.split(";") if part.strip()]


def _cookie_may_pass(value: bytes, ours: Sequence[str]) -> bool:
    """Not with Domain= (it would reach sibling machines), not under our names, not nameless (reads as any name)."""
    pair, *attributes = value.decode("latin-1").split(";")
    name = pair.partition("=")[0].strip()
    if "=" not in pair or not name or name in ours:
        return False
    return all(attribute.partition("=")[0].strip().lower() != "domain" for attribute in attributes)
