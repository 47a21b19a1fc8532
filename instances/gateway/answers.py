"""What the gateway itself says: pages for people, short JSON for scripts. Nothing here comes from a machine."""

import json
from collections.abc import Sequence
from typing import Any

from asgiref.typing import ASGISendCallable
from django.template.loader import render_to_string

RETRY_SECONDS = 2
_ALWAYS = [
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),  # the address of an entry holds a ticket
    (b"x-content-type-options", b"nosniff"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; "
        b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
]

# Asks whether the notebook answers by now, and opens the page again when the answer changes.
WAIT_SCRIPT = """\
const state = document.documentElement.dataset.state;
async function look() {
  try {
    const answer = await fetch("/_nb/ready", {cache: "no-store"});
    const {ready, state: now} = await answer.json();
    if (ready || now !== state) { location.reload(); return; }
  } catch { /* the gateway itself restarts: ask again */ }
  setTimeout(look, 1000);
}
setTimeout(look, 1000);
"""


async def answer(
    send: ASGISendCallable, status: int, body: str, kind: str = "text/plain", more: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    content = body.encode()
    headers = [
        (b"content-type", f"{kind}; charset=utf-8".encode()),
        (b"content-length", str(len(content)).encode()),
        *_ALWAYS,
        *more,
    ]
    start: Any = {"type": "http.response.start", "status": status, "headers": headers, "trailers": False}
    await send(start)
    await send({"type": "http.response.body", "body": content, "more_body": False})


async def say(send: ASGISendCallable, status: int, reason: str, **facts: object) -> None:
    """For scripts. `message` is what JupyterLab shows in its dialogs."""
    more = [(b"retry-after", str(RETRY_SECONDS).encode())] if status == 503 else []
    await answer(send, status, json.dumps({"message": reason, "reason": reason, **facts}), "application/json", more)


async def redirect(send: ASGISendCallable, url: str, more: Sequence[tuple[bytes, bytes]] = ()) -> None:
    await answer(send, 302, "", more=[(b"location", url.encode()), *more])


async def page(send: ASGISendCallable, status: int, name: str, context: dict[str, object]) -> None:
    """A page of templates/gateway/."""
    more = [(b"retry-after", str(RETRY_SECONDS).encode())] if status == 503 else []
    await answer(send, status, render_to_string(f"gateway/{name}.html", context), "text/html", more)
