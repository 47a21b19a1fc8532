"""Which requests pass and which headers go along: the rules alone, as tables."""

import pytest

from instances.gateway import headers as rules
from instances.gateway.activity import message_is_work, request_is_work

MINE = "http://mabc.nb.localhost:8001"
SIBLING = "http://mxyz.nb.localhost:8001"
OURS = ("nb_grant", "__Host-nb_grant", "lamplighter_session", "lamplighter_csrf")


def sent(**headers: str) -> list[rules.Header]:
    return [(name.replace("_", "-"), value) for name, value in headers.items()]


@pytest.mark.parametrize(
    ("host", "slug"),
    [
        ("mabc.nb.localhost:8001", "mabc"),
        ("MABC.NB.localhost:8001", "mabc"),
        ("nb.localhost:8001", None),
        ("mabc.nb.localhost", None),
        ("x.mabc.nb.localhost:8001", None),
        ("mabc.nb.localhost:8001.evil.com", None),
        (".nb.localhost:8001", None),
        ("", None),
    ],
)
def test_the_host_names_exactly_one_machine(host: str, slug: str | None) -> None:
    assert rules.slug_of(host, "nb.localhost:8001") == slug


@pytest.mark.parametrize(
    "path",
    [
        "/lab",
        "/lab/tree/a%20b.ipynb?reset",
        "/lab/tree/hw1.ipynb?next=http://else.where/",
        "/files/x#part",
        "/files/.hidden/..x/x..?from=/../y#/../z",
        "/files/100%25",
    ],
)
def test_a_path_on_this_host_is_kept(path: str) -> None:
    assert rules.local_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "lab",
        "//evil.com",
        "/\\evil.com",
        "https://evil.com/",
        "/lab\r\nSet-Cookie: a=b",
        "/\t/evil.com",
        "/a b",
        "/lab/ü",
        "/_nb/enter?t=x",
        "/" + "a" * 500,
        "javascript:alert(1)",
        "/./git-pull",
        "/lab/../git-pull",
        "/lab/..",
        "/%2e/git-pull",
        "/lab/%2E%2e/git-pull",
        "/lab/.%2e/git-pull",
        "/lab%2f..%2fgit-pull",
        "/lab/%252e%252e/git-pull",
        "/lab/..?x",
        "/lab/..#x",
    ],
)
def test_anything_else_leads_to_the_front_page(path: str) -> None:
    assert rules.local_path(path) == "/lab"


NAVIGATES = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", sent(sec_fetch_site="same-origin")),
        ("POST", sent(sec_fetch_site="same-origin", origin=MINE)),
        ("GET", sent(sec_fetch_site="none", **NAVIGATES)),
        ("GET", sent(sec_fetch_site="cross-site", **NAVIGATES)),  # a link in a mail
        ("GET", sent(sec_fetch_site="same-site", **NAVIGATES)),  # the portal's redirect
        ("GET", []),  # a browser without these headers
        ("PUT", sent(origin=MINE)),
    ],
)
def test_a_page_of_this_host_and_a_person_may_ask(method: str, headers: list[rules.Header]) -> None:
    assert rules.fetch_allowed(method, headers, MINE)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", sent(origin=SIBLING, sec_fetch_site="same-site", sec_fetch_mode="no-cors")),
        ("POST", sent(origin=SIBLING)),
        ("POST", sent(origin="null", sec_fetch_site="cross-site", **NAVIGATES)),  # a form in a sandboxed frame
        ("POST", sent(origin=SIBLING, sec_fetch_site="same-site", **NAVIGATES)),  # a form on a sibling
        ("GET", sent(sec_fetch_site="same-site", sec_fetch_mode="no-cors", sec_fetch_dest="image")),
        ("GET", sent(sec_fetch_site="same-site", sec_fetch_mode="navigate", sec_fetch_dest="iframe")),
        ("GET", sent(sec_fetch_site="cross-site", sec_fetch_mode="cors", origin=SIBLING)),
        ("GET", sent(origin=MINE.replace("http:", "https:"))),
        ("GET", sent(origin=MINE + "0")),
        ("GET", [("origin", MINE), ("origin", SIBLING)]),
        ("GET", [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]),
        ("DELETE", []),
    ],
)
def test_pages_of_other_hosts_may_not(method: str, headers: list[rules.Header]) -> None:
    assert not rules.fetch_allowed(method, headers, MINE)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        (sent(origin=MINE), True),
        (sent(origin=MINE, sec_fetch_site="same-origin", sec_fetch_mode="websocket"), True),
        (sent(origin=SIBLING), False),
        (sent(origin=MINE, sec_fetch_site="same-site"), False),
        (sent(sec_fetch_site="cross-site", **NAVIGATES), False),
        ([], False),
    ],
)
def test_a_websocket_is_opened_by_a_page_of_this_host_only(headers: list[rules.Header], allowed: bool) -> None:
    assert rules.fetch_allowed("GET", headers, MINE, websocket=True) is allowed


def test_only_a_browser_that_says_so_asks_for_a_page_of_this_host() -> None:
    assert rules.from_own_page(sent(sec_fetch_site="same-origin"))
    for headers in ([], sent(sec_fetch_site="none"), sent(sec_fetch_site="same-site"), sent(origin=MINE)):
        assert not rules.from_own_page(headers)
    assert not rules.from_own_page([("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")])


def to_machine(headers: list[rules.Header]) -> list[rules.Header]:
    return rules.to_machine(headers, host="mabc.nb.localhost:8001", scheme="http", token="s3cret", ours=OURS)


def test_the_machine_never_sees_our_cookies_and_gets_the_others_in_one_header() -> None:
    passed = to_machine(
        [("cookie", "nb_grant=g; _xsrf=1"), ("cookie", "lamplighter_session=s; lab=2;__Host-nb_grant=h")]
    )
    assert rules.values(passed, "cookie") == ["_xsrf=1; lab=2"]
    assert not rules.values(to_machine([("cookie", "nb_grant=g")]), "cookie")


def test_the_machine_believes_only_what_we_say() -> None:
    lies = sent(
        authorization="token stolen",
        x_forwarded_host="evil.com",
        x_forwarded_for="1.2.3.4",
        x_forwarded_user="root",
        forwarded="for=1.2.3.4",
        x_real_ip="1.2.3.4",
        host="evil.com",
    )
    assert sorted(to_machine(lies)) == [
        ("authorization", "token s3cret"),
        ("host", "mabc.nb.localhost:8001"),
        ("x-forwarded-proto", "http"),
    ]


def test_headers_of_one_hop_stop_here_with_those_that_connection_names() -> None:
    hop = [*sent(connection="keep-alive, X-Private", te="trailers", upgrade="h2c", x_private="1"), ("x-kept", "1")]
    names = {name for name, _value in to_machine(hop)}
    assert "x-kept" in names
    assert not names & {"connection", "te", "upgrade", "x-private"}


def test_connection_cannot_name_our_own_headers_away() -> None:
    passed = to_machine(sent(connection="authorization, host"))
    assert rules.first(passed, "authorization") == "token s3cret"


def test_a_chunked_request_keeps_no_second_length() -> None:
    names = {name for name, _value in to_machine(sent(transfer_encoding="chunked", content_length="5"))}
    assert not names & {"transfer-encoding", "content-length"}


def test_every_planted_cookie_is_looked_at_once() -> None:
    headers = [("cookie", "nb_grant=planted; a=nb_grant; nb_grant=mine"), ("cookie", "nb_grant=mine; nb_grant2=x")]
    assert rules.cookies_named(headers, ["nb_grant"]) == ["planted", "mine"]


def from_machine(*headers: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return rules.from_machine(headers, ours=OURS)


@pytest.mark.parametrize(
    "cookie",
    [
        b"a=1; Domain=nb.localhost",
        b"a=1; path=/; domain=.nb.localhost; HttpOnly",
        b"a=1; Domain =nb.localhost",
        b"nb_grant=stolen; Path=/",
        b" nb_grant =stolen",
        b"__Host-nb_grant=stolen; Secure; Path=/",
        b"lamplighter_session=1",
        b"=nb_grant=stolen",
        b"nameless",
    ],
)
def test_a_machine_cannot_set_cookies_for_others_or_under_our_names(cookie: bytes) -> None:
    passed = from_machine((b"Set-Cookie", cookie), (b"Set-Cookie", b"_xsrf=2|abc; Path=/"))
    assert [value for name, value in passed if name == b"set-cookie"] == [b"_xsrf=2|abc; Path=/"]


def test_a_machine_cannot_reach_beyond_its_host_by_headers() -> None:
    passed = from_machine(
        (b"Clear-Site-Data", b'"cookies"'),
        (b"Strict-Transport-Security", b"max-age=1; includeSubDomains"),
        (b"Alt-Svc", b'h3=":443"'),
        (b"Connection", b"X-One-Hop"),
        (b"X-One-Hop", b"1"),
        (b"Content-Encoding", b"gzip"),
    )
    names = {name for name, _value in passed}
    assert b"content-encoding" in names
    assert not names & {b"clear-site-data", b"strict-transport-security", b"alt-svc", b"connection", b"x-one-hop"}


def test_framing_by_others_stops_and_jupyters_own_policy_stays() -> None:
    passed = from_machine((b"Content-Security-Policy", b"sandbox allow-scripts"), (b"Referrer-Policy", b"no-referrer"))
    policies = [value for name, value in passed if name == b"content-security-policy"]
    assert policies == [b"sandbox allow-scripts", b"frame-ancestors 'self'"]
    assert [value for name, value in passed if name == b"referrer-policy"] == [b"no-referrer"]


@pytest.mark.parametrize(
    ("method", "path", "is_work"),
    [
        ("POST", "/api/contents/hw1.ipynb/checkpoints", True),  # "Save" was clicked
        ("PUT", "/api/contents/hw1.ipynb", False),  # it saves by itself as well
        ("PATCH", "/api/sessions/1", False),
        ("POST", "/api/kernels/1/interrupt", True),
        ("GET", "/api/kernels", False),
        ("GET", "/api/contents", False),
        ("PUT", "/lab/api/workspaces/default", False),
        ("POST", "/api/contents?type=file", True),
        ("POST", "/api/contentsx", False),
        ("GET", "/lab/extensions/lamplighter/static/notice.json?used", True),  # somebody types, clicks or scrolls
        ("GET", "/lab/extensions/lamplighter/static/notice.json?1574700000000", False),  # the tab looks for a warning
    ],
)
def test_doing_something_is_work_and_looking_for_news_is_not(method: str, path: str, is_work: bool) -> None:
    assert request_is_work(method, path) is is_work


@pytest.mark.parametrize(
    ("path", "message", "is_work"),
    [
        ("/api/kernels/1/channels", '{"header":{"msg_type":"execute_request"}}', True),
        ("/api/kernels/1/channels", b"\x05\x00shell{execute_request}", True),
        ("/api/kernels/1/channels", '{"header":{"msg_type":"kernel_info_request"}}', False),
        ("/terminals/websocket/1", '["stdin", "l"]', True),
        ("/terminals/websocket/1", '["set_size", 24, 80]', False),
        ("/proxy/6006/ws", "execute_request", False),
    ],
)
def test_typing_and_running_is_work_and_handshakes_are_not(path: str, message: str | bytes, is_work: bool) -> None:
    assert message_is_work(path, message) is is_work
