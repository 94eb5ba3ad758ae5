"""The local pool without a server, and a client that signs in at it; time passes when a test says so."""

import base64
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt

from tools.doctor.redirects import LOGIN_REDIRECTS
from tools.local.pool.clients import Directory
from tools.local.pool.endpoints import Pool
from tools.local.pool.messages import Reply, Request
from tools.local.pool.page_addresses import PageAddresses
from tools.local.pool.sessions import Sessions
from tools.local.pool.tokens import Minter, SigningKey

ENDPOINT = "http://127.0.0.1:9999"
VERIFIER = "a-verifier-of-more-than-43-characters-0123456789"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@dataclass
class LocalPool:
    """A pool, and its client for people."""

    folder: Path
    key: SigningKey
    now: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.pages = PageAddresses(self.folder)
        self.directory = Directory.of("tests", self.pages)
        self.restart()

    def restart(self) -> None:
        """What a new process knows."""
        issuer = f"{ENDPOINT}/{self.directory.pool_id}"
        sessions = Sessions(self.folder / "sessions.json", clock=lambda: self.now)
        minter = Minter(self.key, self.directory, issuer, seconds=300, clock=lambda: self.now)
        self.pool = Pool(ENDPOINT, self.directory, sessions, minter, self.key)

    def get(self, path: str, query: dict[str, str] | str = "", **headers: str) -> Reply:
        encoded = query if isinstance(query, str) else urlencode(query)
        return self.pool.answer(Request("GET", path, encoded, {"host": "127.0.0.1:9999"} | headers))

    def post(self, path: str, form: dict[str, str] | str, query: str = "", **headers: str) -> Reply:
        body = form if isinstance(form, str) else urlencode(form)
        usual = {"host": "127.0.0.1:9999", "content-type": "application/x-www-form-urlencoded"}
        return self.pool.answer(Request("POST", path, query, usual | headers, body))

    def asked(self, **changes: str | None) -> dict[str, str]:
        """A good request for a code; None leaves a parameter out."""
        good: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.directory.login.id,
            "redirect_uri": LOGIN_REDIRECTS[0],
            "scope": "openid email lambda-router/jobs",
            "state": "a/state+&=",
            "nonce": "a-nonce",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in (good | changes).items() if value is not None}

    def code(self, user: str = "demo", **changes: str | None) -> str:
        reply = self.post("/login", {"username": user}, urlencode(self.asked(**changes)))
        return answer_of(reply)["code"]

    def exchanged(self, code: str, /, **changes: str) -> Reply:
        form = {"grant_type": "authorization_code", "client_id": self.directory.login.id, "code": code}
        return self.post(
            "/oauth2/token", form | {"redirect_uri": LOGIN_REDIRECTS[0], "code_verifier": VERIFIER} | changes
        )

    def tokens(self, user: str = "demo", **changes: str | None) -> dict[str, Any]:
        return json_of(self.exchanged(self.code(user, **changes)))

    def refreshed(self, token: str, **changes: str) -> Reply:
        form = {"grant_type": "refresh_token", "client_id": self.directory.login.id, "refresh_token": token}
        return self.post("/oauth2/token", form | changes)

    def revoked(self, token: str, **changes: str) -> Reply:
        return self.post("/oauth2/revoke", {"client_id": self.directory.login.id, "token": token} | changes)


def json_of(reply: Reply) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(reply.body)
    return body


def answer_of(reply: Reply) -> dict[str, str]:
    """The parameters with which the browser is sent back to the client."""
    assert reply.status == 302
    assert reply.headers["Location"].partition("?")[0] in LOGIN_REDIRECTS
    return dict(parse_qsl(urlsplit(reply.headers["Location"]).query, keep_blank_values=True))


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def query_of(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)
