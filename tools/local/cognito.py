"""The user pool of the local stack, seen from the stack and from ``make token``.

``tools/local/pool`` plays Cognito. Ids come from a seed, and keys and sessions are kept, so a restarted stack has the
same pool, client and users as before. Tokens in a shell's variables stay valid, and users find their jobs again.
"""

import base64
import hashlib
import http.client
import json
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from tools.doctor.redirects import LOGIN_REDIRECTS
from tools.local.pool.clients import SCOPE, Directory

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class LocalCognito:
    """A user pool.

    Attributes:
        endpoint: ``http://127.0.0.1:<port>`` of the pool's server.
        client_id: the client for people, which is public.
        machine_client_id: the client for programs.
    """

    endpoint: str
    pool_id: str
    client_id: str
    machine_client_id: str = ""
    machine_client_secret: str = field(default="", repr=False)

    @classmethod
    def at(cls, endpoint: str, seed: str) -> Self:
        """Return the pool that the seed makes."""
        its = Directory.of(seed)
        return cls(endpoint, its.pool_id, its.login.id, its.machine.id, its.machine.secret or "")

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Return the pool of a running stack, which ``stack.json`` describes."""
        return cls(**{its.name: facts[its.name] for its in fields(cls)})

    @property
    def issuer(self) -> str:
        return f"{self.endpoint}/{self.pool_id}"

    @property
    def jwks_url(self) -> str:
        return f"{self.issuer}/.well-known/jwks.json"

    def access_token(self, user: str) -> str:
        """Return a fresh token, got as a browser and a client get it.

        Raises:
            OSError: the server cannot be reached.
        """
        verifier = secrets.token_urlsafe(32)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self.client_id,
                "redirect_uri": LOGIN_REDIRECTS[0],
                "scope": SCOPE,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            }
        )
        back = _post(self.endpoint, f"/login?{query}", {"username": user}).location
        (code,) = parse_qs(urlsplit(back).query)["code"]
        client = {"client_id": self.client_id}
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": LOGIN_REDIRECTS[0]}
        tokens = _post(self.endpoint, "/oauth2/token", client | form | {"code_verifier": verifier}).json
        _post(self.endpoint, "/oauth2/revoke", client | {"token": tokens["refresh_token"]})  # nobody will use it
        token: str = tokens["access_token"]
        return token


def server_command(port: int, folder: Path, seed: str) -> list[str]:
    """Return the command of the pool's server on that port of 127.0.0.1; SIGTERM ends it."""
    return [sys.executable, "-m", "tools.local.pool", "--port", str(port), "--folder", str(folder), "--seed", seed]


def is_up(cognito: LocalCognito) -> bool:
    """Return whether the pool answers, and not another one in its place."""
    try:
        path = f"/{cognito.pool_id}/.well-known/openid-configuration"
        return bool(_ask(cognito.endpoint, "GET", path).json["issuer"] == cognito.issuer)
    except (OSError, ValueError, http.client.HTTPException):
        return False


@dataclass(frozen=True)
class _Answer:
    status: int
    location: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def _post(endpoint: str, path: str, form: dict[str, str]) -> _Answer:
    answer = _ask(endpoint, "POST", path, urlencode(form))
    if answer.status >= 400:
        raise ValueError(f"POST {path.partition('?')[0]} of the local user pool: {answer.status} {answer.body!r}")
    return answer


def _ask(endpoint: str, method: str, path: str, body: str = "") -> _Answer:
    """Send a request, without following redirects, and without a proxy from the environment."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body, {"Content-Type": "application/x-www-form-urlencoded"})
        response = connection.getresponse()
        return _Answer(response.status, response.headers.get("Location", ""), response.read())
    finally:
        connection.close()
