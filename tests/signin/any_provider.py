"""An OpenID provider that says whatever a test wants, over real HTTP. Demo University never lies; this one does."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt

KEY = "the client secret, long enough for a signature"


@dataclass
class AnyProvider:
    userinfo: dict[str, object] = field(default_factory=dict)
    id_token: dict[str, object] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)  # paths that answer 500
    asked: list[dict[str, list[str]]] = field(default_factory=list)  # what each authorization request held

    def __post_init__(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._answers())
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def says(self, *, sub: str = "s-1", **claims: object) -> None:
        """Both the signed token and the userinfo page say this."""
        self.userinfo = {"sub": sub, **claims}
        self.id_token = dict(self.userinfo)

    def configuration(self) -> dict[str, object]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def token(self) -> dict[str, object]:
        claims = {"iss": self.url, "aud": "portal", "iat": 1, "exp": 99999999999, **self.id_token}
        return {"access_token": "a", "token_type": "Bearer", "id_token": jwt.encode(claims, KEY)}

    def _answers(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                if url.path == "/authorize":
                    query = parse_qs(url.query)
                    provider.asked.append(query)
                    back = urlencode({"code": "c", "state": query["state"][0]})
                    self.send_response(302)
                    self.send_header("Location", f"{query['redirect_uri'][0]}?{back}")
                    self.end_headers()
                elif url.path == "/userinfo":
                    self.answer(url.path, provider.userinfo)
                else:
                    self.answer(url.path, provider.configuration())

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(self.path, provider.token())

            def answer(self, path: str, body: dict[str, object]) -> None:
                self.send_response(500 if path in provider.broken else 200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_args: object) -> None:
                pass

        return Answers
