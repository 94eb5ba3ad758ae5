"""The endpoints that programs call: token, revocation and user info.

Cognito's descriptions, with their errors:
https://docs.aws.amazon.com/cognito/latest/developerguide/token-endpoint.html
https://docs.aws.amazon.com/cognito/latest/developerguide/revocation-endpoint.html
"""

import base64
import binascii
import secrets
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from tools.local.pool.clients import Client, Directory
from tools.local.pool.messages import NO_STORE, READABLE, Refused, Reply, Request, json_reply, parameters
from tools.local.pool.sessions import Sessions
from tools.local.pool.tokens import Minter, SigningKey, matches_challenge

_FORM = "application/x-www-form-urlencoded"


class Grants:
    """The token, revocation and user info endpoints."""

    def __init__(self, directory: Directory, sessions: Sessions, minter: Minter, key: SigningKey) -> None:
        self._directory, self._sessions, self._minter, self._key = directory, sessions, minter, key
        self._kinds: dict[str, Callable[[Client, dict[str, str]], dict[str, Any]]] = {
            "authorization_code": self._of_code,
            "refresh_token": self._of_refresh_token,
            "client_credentials": self._of_program,
        }

    def token(self, request: Request) -> Reply:
        """Answer a token request. Raises Refused."""
        sent = _form(request)
        grant_type = sent.get("grant_type")
        if grant_type is None:
            raise Refused("invalid_request", "grant_type is missing")
        if grant_type not in self._kinds:
            raise Refused("unsupported_grant_type", grant_type)
        return json_reply(self._kinds[grant_type](self._client(request, sent), sent))

    def revoke(self, request: Request) -> Reply:
        """End the session of a refresh token; one that is unknown is none any more (RFC 7009). Raises Refused."""
        sent = _form(request)
        client = self._client(request, sent)
        if "token" not in sent:
            raise Refused("invalid_request", "token is missing")
        if self._key.claims(sent["token"]) is not None:
            raise Refused("unsupported_token_type", "only refresh tokens can be revoked")
        self._sessions.revoke(sent["token"], client.id)
        return Reply(HTTPStatus.OK, NO_STORE | READABLE)

    def user_info(self, request: Request) -> Reply:
        """Return the claims about the person of an access token. Raises Refused."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        claims = self._key.claims(token) if scheme.lower() == "bearer" else None
        if claims is None or "username" not in claims or not self._sessions.is_known(claims["origin_jti"]):
            raise Refused("invalid_token", "no valid access token of a person", HTTPStatus.UNAUTHORIZED)
        if "openid" not in claims["scope"].split():
            raise Refused("insufficient_scope", "the token lacks openid", HTTPStatus.FORBIDDEN)
        return json_reply({"sub": claims["sub"], "username": claims["username"]})

    def _client(self, request: Request, sent: dict[str, str]) -> Client:
        """Return the client that sends the request. Raises Refused unless it proves its secret, if it has one."""
        basic = _basic(request.headers.get("authorization"))
        client_id, secret = basic or (sent.get("client_id"), sent.get("client_secret"))
        if client_id is None:
            raise Refused("invalid_request", "client_id is missing")
        client = self._directory.client(client_id)
        if client is None or not secrets.compare_digest((client.secret or "").encode(), (secret or "").encode()):
            raise Refused("invalid_client", "no client of this pool has that id and secret")
        return client

    def _of_code(self, client: Client, sent: dict[str, str]) -> dict[str, Any]:
        for name in ("code", "redirect_uri"):
            if name not in sent:
                raise Refused("invalid_request", f"{name} is missing")
        if not client.redirects:
            raise Refused("unauthorized_client", "the client may not use this grant")
        code = self._sessions.take_code(sent["code"])  # used up even if what follows fails
        if code is None or (code.grant.client_id, code.redirect_uri) != (client.id, sent["redirect_uri"]):
            raise Refused("invalid_grant", "the code is unknown, used, over or another client's")
        if not matches_challenge(sent.get("code_verifier", ""), code.challenge):
            raise Refused("invalid_grant", "code_verifier does not match the challenge")
        session, refresh_token = self._sessions.begin(code.grant)
        return self._minter.of_person(session, code.nonce) | {"refresh_token": refresh_token}

    def _of_refresh_token(self, client: Client, sent: dict[str, str]) -> dict[str, Any]:
        if "refresh_token" not in sent:
            raise Refused("invalid_request", "refresh_token is missing")
        rotated = self._sessions.rotate(sent["refresh_token"], client.id)
        if rotated is None:
            raise Refused("invalid_grant", "the refresh token is unknown, revoked, over or another client's")
        session, following = rotated
        return self._minter.of_person(session) | {"refresh_token": following}

    def _of_program(self, client: Client, sent: dict[str, str]) -> dict[str, Any]:
        if client.secret is None:
            raise Refused("unauthorized_client", "a client without a secret may not use this grant")
        scopes = client.granted(sent.get("scope"))
        if scopes is None:
            raise Refused("invalid_scope", f"the client may ask for {' '.join(client.scopes)}")
        return self._minter.of_program(client, scopes)


def _form(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise Refused("invalid_request", f"Content-Type must be {_FORM}")
    return parameters(request.body)


def _basic(authorization: str | None) -> tuple[str, str] | None:
    """Return the id and secret of an ``Authorization: Basic`` header; None without one. Raises Refused."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Refused("invalid_client", "Authorization cannot be read") from None
    if not colon:
        raise Refused("invalid_client", "Authorization names no secret")
    return client_id, secret
