"""One request or websocket as the gateway sees it: who is asked for, from which page, with which cookies."""

from dataclasses import dataclass

from asgiref.typing import HTTPScope, WebSocketScope
from django.conf import settings

from instances import homework_rules
from instances.gateway import headers as rules
from instances.gateway import place


@dataclass(frozen=True, slots=True)
class Visit:
    slug: str
    host: str
    method: str
    path: str  # as sent, still percent-encoded
    query: str
    headers: list[rules.Header]
    websocket: bool

    @property
    def path_and_query(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def allowed(self) -> bool:
        return rules.fetch_allowed(self.method, self.headers, place.origin_of(self.slug), websocket=self.websocket)

    @property
    def is_foreign_pull(self) -> bool:
        """Makes the machine pull a repository, and its student may know nothing of it.

        A link on any page is enough, and what is pulled into the right folder runs with the next kernel.
        """
        return not rules.from_own_page(self.headers) and homework_rules.pulls(self.path)

    @property
    def is_navigation(self) -> bool:
        return not self.websocket and rules.is_navigation(self.method, self.headers)

    @property
    def cookies(self) -> list[str]:
        """Grants. Siblings may have planted some, so the right one need not be the first."""
        return rules.cookies_named(self.headers, [place.cookie_name()])

    @property
    def states(self) -> list[str]:
        """What this browser is known again by between leaving for the portal and coming back with a ticket."""
        return rules.cookies_named(self.headers, [place.cookie_name("nb_state")])

    def headers_for(self, token: str) -> list[rules.Header]:
        return rules.to_machine(
            self.headers,
            host=self.host,
            scheme=settings.NOTEBOOK_SCHEME,
            token=token,
            ours=place.our_cookies(),
        )


def visit_of(scope: HTTPScope | WebSocketScope) -> Visit | None:
    """None when the request is for no machine's host, or its target is not a plain path."""
    headers = [(name.decode("latin-1").lower(), _text(value)) for name, value in scope["headers"]]
    hosts = rules.values(headers, "host")
    slug = rules.slug_of(hosts[0], settings.NOTEBOOK_DOMAIN) if len(hosts) == 1 else None
    path = (scope.get("raw_path") or b"").decode("ascii", "replace")
    if slug is None or not path.startswith("/"):
        return None  # "@elsewhere/" or "http://elsewhere/" as the target would name another host
    websocket = scope["type"] == "websocket"
    method = "GET" if scope["type"] == "websocket" else scope["method"]
    return Visit(slug, hosts[0].lower(), method, path, scope["query_string"].decode("latin-1"), headers, websocket)


def _text(value: bytes) -> str:
    """Headers are sent on as UTF-8, so they are read as that where they are."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
