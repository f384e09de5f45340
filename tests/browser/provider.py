"""A provider of logins for tests: OpenID Connect by the book, for a few people without passwords.

It does what the app relies on: discovery, the authorization code flow with PKCE, a nonce, ID
tokens signed with RS256, a set of keys, and an end of the session.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "studio", "client-secret-canary-71c2"


class Provider:
    """The provider.

    Args:
        people: The claims of each person, by the name on the page.

    Attributes:
        address: Where it is, which is also the issuer.
        refused: What was asked of it in a way that it does not accept.
    """

    def __init__(self, people: dict[str, dict[str, Any]]) -> None:
        self.people = people
        self.refused: list[str] = []
        self._key = RSAKey.generate_key(2048, {"kid": "test", "use": "sig", "alg": "RS256"})
        self._codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urllib.parse.urlsplit(self.path)
                provider.get(self, url.path, dict(urllib.parse.parse_qsl(url.query)))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                provider.post(self, dict(urllib.parse.parse_qsl(body)))

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def get(self, asked: BaseHTTPRequestHandler, path: str, query: dict[str, str]) -> None:
        match path:
            case "/.well-known/openid-configuration":
                _answer(asked, self._configuration())
            case "/keys":
                _answer(asked, {"keys": [self._key.as_dict(private=False)]})
            case "/authorize" if "as" not in query:
                links = "".join(
                    f'<p><a href="{asked.path}&as={urllib.parse.quote(name)}">{name}</a></p>'
                    for name in self.people
                )
                _answer(asked, f"<title>Provider</title><h1>Who are you?</h1>{links}")
            case "/authorize":
                code = secrets.token_urlsafe(16)
                self._codes[code] = query
                back = urllib.parse.urlencode({"code": code, "state": query["state"]})
                _redirect(asked, f"{query['redirect_uri']}?{back}")
            case "/end":
                _redirect(asked, query["post_logout_redirect_uri"])
            case _:
                asked.send_error(404)

    def post(self, asked: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        given = self._codes.pop(form.get("code", ""), None)
        verifier = form.get("code_verifier", "").encode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=")
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if (
            given is None
            or asked.headers["Authorization"] != f"Basic {basic}"
            or given.get("code_challenge_method") != "S256"
            or given["code_challenge"] != challenge.decode()
            or given["redirect_uri"] != form["redirect_uri"]
        ):
            self.refused.append(str(form))
            asked.send_error(400)
            return
        now = int(time.time())
        claims = {
            "iss": self.address,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 3600,
            "nonce": given["nonce"],
            **self.people[given["as"]],
        }
        token = jwt.encode({"alg": "RS256", "kid": "test"}, claims, self._key)
        found = {"access_token": secrets.token_urlsafe(), "token_type": "Bearer", "id_token": token}
        _answer(asked, found)

    def _configuration(self) -> dict[str, Any]:
        places = {
            "authorization_endpoint": "authorize",
            "token_endpoint": "token",
            "jwks_uri": "keys",
            "end_session_endpoint": "end",
        }
        return {
            "issuer": self.address,
            **{name: f"{self.address}/{path}" for name, path in places.items()},
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }


@contextmanager
def provided(people: dict[str, dict[str, Any]]) -> Iterator[Provider]:
    """Run a provider."""
    provider = Provider(people)
    thread = threading.Thread(target=provider.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.server.shutdown()
        provider.server.server_close()
        thread.join()


def _answer(asked: BaseHTTPRequestHandler, content: dict[str, Any] | str) -> None:
    is_page = isinstance(content, str)
    data = (content if isinstance(content, str) else json.dumps(content)).encode()
    asked.send_response(200)
    asked.send_header("Content-Type", "text/html" if is_page else "application/json")
    asked.send_header("Content-Length", str(len(data)))
    asked.end_headers()
    asked.wfile.write(data)


def _redirect(asked: BaseHTTPRequestHandler, address: str) -> None:
    asked.send_response(302)
    asked.send_header("Location", address)
    asked.send_header("Content-Length", "0")
    asked.end_headers()
