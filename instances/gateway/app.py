"""The notebook gateway, an ASGI application: lets a browser through to its own machine, and to nothing else."""

import asyncio
import logging
import secrets
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, WSServerHandshakeError
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope, WebSocketScope
from django.conf import settings
from django.db import Error as DatabaseError
from django.utils import timezone
from yarl import URL

from instances import grants, homework
from instances.gateway import answers, place
from instances.gateway import headers as rules
from instances.gateway.activity import Stamps
from instances.gateway.browser_end import browser_end
from instances.gateway.database import in_database
from instances.gateway.doorkeeper import COOKIES_MAX, Doorkeeper
from instances.gateway.http import AccessOver, Exchange
from instances.gateway.share import REQUESTS_MAX, SOCKETS_MAX, Full, Places
from instances.gateway.visit import Visit, visit_of
from instances.gateway.websocket import Bridge, machine_socket
from instances.gateway.wire import MachineEnd, connector
from instances.grants import Access

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5
HANG_UP_SECONDS = 2  # of a browser that was refused
HEADER_MAX = 64 * 1024  # bytes; notebooks pass long query strings around


class Gateway:
    def __init__(self) -> None:
        self.doorkeeper = Doorkeeper()
        self.stamps = Stamps()
        self.sockets = Places(SOCKETS_MAX)
        self.requests = Places(REQUESTS_MAX)
        self._session: ClientSession | None = None

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    @property
    def session(self) -> ClientSession:
        """To the machines. Cookies, redirects, compression and time are the browser's business."""
        if self._session is None:
            self._session = ClientSession(
                connector=connector(),
                ws_response_class=MachineEnd,
                cookie_jar=DummyCookieJar(),
                timeout=ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                max_line_size=HEADER_MAX,
                max_field_size=HEADER_MAX,
                trust_env=False,
            )
        return self._session

    async def _live(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        if self._session:
            await self._session.close()
        await send({"type": "lifespan.shutdown.complete"})

    # ------------------------------------------------------------ requests
    async def _http(self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["path"] == rules.HEALTH_PATH:
            await answers.answer(send, 200, "ok")
            return
        visit = visit_of(scope)
        if visit is None:
            await answers.page(send, 404, "missing", _links())
        elif not visit.allowed:
            await answers.say(send, 403, "Asked by a page of another site.")
        else:
            await self._admit(visit, receive, send)

    async def _admit(self, visit: Visit, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        try:
            if visit.path == rules.TICKET_PATH:
                await self._enter(visit, send)
                return
            access = await self.doorkeeper.access(visit.cookies, visit.slug)
            may = access is None or await _may(visit, access)
        except DatabaseError:
            log.exception("access of %s not checked", visit.slug)
            await _trouble(visit, send)
            return
        if visit.path.startswith(rules.OWN_PATHS):
            await self._own(visit, access, send)
        elif access is None:
            await _not_signed_in(visit, send)
        elif not may:  # before any page that opens itself again: a page of this host may pull
            await _pulls_nothing(visit, send)
        elif not access.reachable:
            await _wait(visit, access.state, send)
        else:
            try:
                with self.requests.one(visit.slug):
                    await self._pass_on(visit, access, receive, send)
            except Full:
                await answers.say(send, 429, "Too many requests at once for one machine. Try again in a moment.")

    async def _pass_on(
        self, visit: Visit, access: Access, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        self.stamps.request(access.instance_id, visit.method, visit.path_and_query)
        over = partial(self.doorkeeper.until_over, visit.cookies, visit.slug)
        exchange = Exchange(visit, access, receive, send, over=over)
        try:
            await exchange.run(self.session)
        except (AccessOver, ClientError, TimeoutError, OSError) as error:
            log.info("%s: no answer, or half of one: %s %s", visit.slug, type(error).__name__, error)
            if not exchange.started:
                await _wait(visit, access.state, send)
            # Else the server cuts the connection, so that half an answer does not look like a whole one.

    async def _enter(self, visit: Visit, send: ASGISendCallable) -> None:
        """A ticket from the portal becomes this host's cookie."""
        secret = parse_qs(visit.query).get("t", [""])[0]
        for cookie in visit.states[:COOKIES_MAX]:
            state = grants.state_of(cookie)
            entry = await in_database(grants.redeem_ticket, secret, visit.slug, state=state, now=timezone.now())
            if entry:
                url = place.origin_of(visit.slug) + rules.local_path(entry.path)
                await answers.redirect(send, url, [place.set_cookie("nb_grant", entry.cookie)])
                return
        await answers.page(send, 403, "ticket", _links(visit.slug))

    async def _own(self, visit: Visit, access: Access | None, send: ASGISendCallable) -> None:
        if visit.path == rules.SCRIPT_PATH:
            await answers.answer(send, 200, answers.WAIT_SCRIPT, "text/javascript")
        elif visit.path != rules.READY_PATH:
            await answers.say(send, 404, "Nothing here.")
        elif access is None:
            await answers.say(send, 401, "Not signed in.", ready=False, state="")
        else:
            ready = access.reachable and await self._answers(access)
            await answers.say(send, 200, "", ready=ready, state=access.state)

    async def _answers(self, access: Access) -> bool:
        """Whether the machine's notebook server speaks by now."""
        url = URL(place.machine_url(access.address or "", "/api"), encoded=True)
        try:
            async with self.session.get(url, timeout=ClientTimeout(total=CONNECT_SECONDS)) as answer:
                return answer.status < 500
        except (ClientError, TimeoutError, OSError):
            return False

    # ------------------------------------------------------------ websockets
    async def _websocket(self, scope: WebSocketScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()  # websocket.connect
        visit = visit_of(scope)
        if visit is None or not visit.allowed:
            await _refuse(receive, send, 404 if visit is None else 403)
            return
        try:
            access = await self.doorkeeper.access(visit.cookies, visit.slug)
        except DatabaseError:
            log.exception("access of %s not checked", visit.slug)
            await _refuse(receive, send, 503)
            return
        if access is None or not access.reachable:
            await _refuse(receive, send, 401 if access is None else 503)
            return
        try:
            with self.sockets.one(visit.slug):
                await self._join(visit, access, scope["extensions"], receive, send)
        except Full:
            log.warning("%s: refused, it has %d websockets", visit.slug, SOCKETS_MAX)
            await _refuse(receive, send, 429)

    async def _join(
        self, visit: Visit, access: Access, extensions: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        def heard(message: str | bytes) -> None:
            self.stamps.message(access.instance_id, visit.path, message)

        browser = browser_end(extensions)
        try:
            machine = await machine_socket(self.session, visit, access, browser.cut)
        except WSServerHandshakeError as refused:
            await _refuse(receive, send, refused.status if refused.status >= 400 else 502)
        except (ClientError, TimeoutError, OSError) as error:
            log.info("%s does not answer: %s", visit.slug, error)
            await _refuse(receive, send, 503)
        else:
            browser.belongs_to(visit.slug)
            over = partial(self.doorkeeper.until_over, visit.cookies, visit.slug)
            await Bridge(receive, send, over=over, on_message=heard, cut=browser.cut).run(machine)


def _links(slug: str = "", path: str = rules.HOME) -> dict[str, object]:
    home = f"{settings.PORTAL_URL}/"
    if not slug:
        return {"home": home}
    return {"home": home, "machine": place.machine_page(slug), "portal": place.portal_url(slug, path)}


async def _may(visit: Visit, access: Access) -> bool:
    if not visit.is_foreign_pull:
        return True
    return await in_database(homework.may_pull, access.instance_id, visit.path, visit.query)


async def _not_signed_in(visit: Visit, send: ASGISendCallable) -> None:
    """A person is sent to the portal, which signs in and comes back to this very page."""
    if visit.is_navigation:
        # One state for all tabs of a browser: a second tab must not spoil the ticket that the first waits for.
        state = visit.states[0] if visit.states else secrets.token_urlsafe(32)
        url = place.portal_url(visit.slug, visit.path_and_query, grants.state_of(state))
        await answers.redirect(send, url, [] if visit.states else [place.set_cookie("nb_state", state)])
    else:
        await answers.say(send, 401, "Not signed in. Open the notebook from the portal again.")


async def _wait(visit: Visit, state: str, send: ASGISendCallable) -> None:
    if visit.is_navigation:
        links = _links(visit.slug, visit.path_and_query)
        await answers.page(send, 503, "waiting", {"state": state, "waiting": True, **links})
    else:
        await answers.say(send, 503, "The machine's notebook does not answer.", state=state)


async def _pulls_nothing(visit: Visit, send: ASGISendCallable) -> None:
    if visit.is_navigation:
        await answers.page(send, 403, "pull", _links(visit.slug))
    else:
        await answers.say(send, 403, "No homework link of this course asks for this pull.")


async def _trouble(visit: Visit, send: ASGISendCallable) -> None:
    if visit.is_navigation:
        # Opened again from here, a foreign pull would be one of this host's own pages: it goes by the portal.
        again = place.portal_url(visit.slug, visit.path_and_query) if visit.is_foreign_pull else ""
        await answers.page(send, 503, "trouble", {"again": again, **_links()})
    else:
        await answers.say(send, 503, "Access could not be checked. Try again in a moment.")


async def _refuse(receive: ASGIReceiveCallable, send: ASGISendCallable, status: int) -> None:
    """Answers the websocket's handshake like any request, so that scripts see why."""
    headers = [(b"content-length", b"0"), (b"cache-control", b"no-store")]
    if status == 503:
        headers.append((b"retry-after", str(answers.RETRY_SECONDS).encode()))
    start: Any = {"type": "websocket.http.response.start", "status": status, "headers": headers}
    await send(start)
    body: Any = {"type": "websocket.http.response.body", "body": b"", "more_body": False}
    await send(body)
    # uvicorn takes a refusal for no answer at all, and logs an error, until its connection is down. It tells of a
    # disconnect twice: when the answer is written, and when the connection is down.
    with suppress(TimeoutError):
        async with asyncio.timeout(HANG_UP_SECONDS):
            await receive()
            await receive()
