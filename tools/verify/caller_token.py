"""An access token for a program that calls the API: a given one, or one that Cognito issues to an app client."""

import base64
import json
import time
from collections.abc import Mapping

import httpx

_TIMEOUT_SECONDS = 10.0
_NAMES = ("COGNITO_TOKEN_URL", "COGNITO_CLIENT_ID", "COGNITO_CLIENT_SECRET")


class NoToken(Exception):
    """No token is available; the message names what is missing or what failed, but never a secret."""


def caller_token(environ: Mapping[str, str]) -> str:
    """Return ``TOKEN``, or one from ``COGNITO_TOKEN_URL`` by the client credentials grant (RFC 6749, section 4.4).

    Raises:
        NoToken: neither is configured, Cognito issues none, or ``TOKEN`` has expired. The API would rightly reject an
            expired token, which would look like a fault of the API.
    """
    if token := environ.get("TOKEN"):
        _refuse_expired(token)
        return token
    if missing := [name for name in _NAMES if not environ.get(name)]:
        raise NoToken(f"set TOKEN, or all of {', '.join(_NAMES)}; missing: {', '.join(missing)}")
    return _granted(*(environ[name] for name in _NAMES))


def _granted(url: str, client_id: str, secret: str) -> str:
    try:
        answer = httpx.post(
            url, data={"grant_type": "client_credentials"}, auth=(client_id, secret), timeout=_TIMEOUT_SECONDS
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NoToken(f"no response from {url}: {type(error).__name__}: check that this machine can reach it") from None
    if answer.status_code != 200:
        raise NoToken(
            f"{url} returned {answer.status_code} instead of a token: the app client {client_id} needs a secret, the"
            " client credentials grant and the scope (docs/contract.md, Tokens)"
        )
    try:
        token = answer.json()["access_token"]
    except (ValueError, KeyError, TypeError):
        raise NoToken(f"{url} returned 200 without a token: use the token endpoint of the pool's domain") from None
    return str(token)


def _refuse_expired(token: str) -> None:
    """Raise NoToken for an expired token. Nothing is verified here; the API rejects an unreadable token."""
    try:
        payload = token.split(".")[1]
        expires = float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (ValueError, KeyError, TypeError, IndexError):
        return
    if (ago := time.time() - expires) > 0:
        raise NoToken(f"TOKEN expired {ago:.0f} s ago: get a new one")
