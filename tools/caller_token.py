"""An access token for a program that calls the API: one that is given, or one that Cognito gives to an app client."""

from collections.abc import Mapping

import httpx

_TIMEOUT_SECONDS = 10.0
_NAMES = ("COGNITO_TOKEN_URL", "COGNITO_CLIENT_ID", "COGNITO_CLIENT_SECRET")


class NoToken(Exception):
    """There is none to be had; the message names what is missing or who refused, and never a secret."""


def caller_token(environ: Mapping[str, str]) -> str:
    """``TOKEN``, or one by the client credentials grant (RFC 6749, section 4.4) at ``COGNITO_TOKEN_URL``.

    Raises:
        NoToken: neither is there, or Cognito gives none.
    """
    if token := environ.get("TOKEN"):
        return token
    if missing := [name for name in _NAMES if not environ.get(name)]:
        raise NoToken(f"set TOKEN, or all of {', '.join(_NAMES)}; missing are {', '.join(missing)}")
    return _granted(*(environ[name] for name in _NAMES))


def _granted(url: str, client_id: str, secret: str) -> str:
    try:
        answer = httpx.post(
            url, data={"grant_type": "client_credentials"}, auth=(client_id, secret), timeout=_TIMEOUT_SECONDS
        )
    except httpx.HTTPError as error:
        raise NoToken(f"{url} did not answer: {type(error).__name__}") from None
    if answer.status_code != 200:
        raise NoToken(
            f"{url} answered {answer.status_code} instead of a token: the app client {client_id} needs a secret, the"
            " client credentials grant and the scope (docs/contract.md, Tokens)"
        )
    token: str = answer.json()["access_token"]
    return token
