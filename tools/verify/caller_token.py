"""An access token for a program that calls the API: one that is given, or one that Cognito gives to an app client."""

import base64
import json
import time
from collections.abc import Mapping

import httpx

_TIMEOUT_SECONDS = 10.0
_NAMES = ("COGNITO_TOKEN_URL", "COGNITO_CLIENT_ID", "COGNITO_CLIENT_SECRET")


class NoToken(Exception):
    """There is none to be had; the message names what is missing or who refused, and never a secret."""


def caller_token(environ: Mapping[str, str]) -> str:
    """``TOKEN``, or one by the client credentials grant (RFC 6749, section 4.4) at ``COGNITO_TOKEN_URL``.

    Raises:
        NoToken: neither is there, Cognito gives none, or the one that is given has expired: the API would rightly
            refuse it, which looks like a fault of the API.
    """
    if token := environ.get("TOKEN"):
        _refuse_expired(token)
        return token
    if missing := [name for name in _NAMES if not environ.get(name)]:
        raise NoToken(f"set TOKEN, or all of {', '.join(_NAMES)}; missing are {', '.join(missing)}")
    return _granted(*(environ[name] for name in _NAMES))


def _granted(url: str, client_id: str, secret: str) -> str:
    try:
        answer = httpx.post(
            url, data={"grant_type": "client_credentials"}, auth=(client_id, secret), timeout=_TIMEOUT_SECONDS
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NoToken(f"{url} did not answer: {type(error).__name__}: see that this machine reaches it") from None
    if answer.status_code != 200:
        raise NoToken(
            f"{url} answered {answer.status_code} instead of a token: the app client {client_id} needs a secret, the"
            " client credentials grant and the scope (docs/contract.md, Tokens)"
        )
    try:
        token = answer.json()["access_token"]
    except (ValueError, KeyError, TypeError):
        raise NoToken(f"{url} answered 200 without a token: is it the token endpoint of the pool's domain?") from None
    return str(token)


def _refuse_expired(token: str) -> None:
    """Nothing is verified here: what cannot be read is for the API to judge."""
    try:
        payload = token.split(".")[1]
        expires = float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (ValueError, KeyError, TypeError, IndexError):
        return
    if (ago := time.time() - expires) > 0:
        raise NoToken(f"TOKEN expired {ago:.0f} s ago: get another one")
