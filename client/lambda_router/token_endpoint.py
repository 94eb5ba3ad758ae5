"""The issuer's token endpoint: code, refresh token or a machine's secret against an access token (RFC 6749)."""

import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

from lambda_router import http
from lambda_router.environment import MachineClient
from lambda_router.errors import BadServer, LoginRefused, NotLoggedIn, ServerAway
from lambda_router.servers import Server
from lambda_router.store import Credentials

#: A clock that differs more from the issuer's is told: signatures and certificates are compared with it.
_CLOCK_SECONDS = 300
_LONGEST_SECONDS = 7 * 86_400
_MAX_TOKEN = 16_384
#: Scopes about a person, which a machine cannot have.
_OF_PERSONS = {"openid", "email", "profile", "phone", "aws.cognito.signin.user.admin"}


@dataclass(frozen=True)
class Issued:
    """An answer of the token endpoint.

    Attributes:
        id_token: empty unless the scope has ``openid``.
        clock_error: seconds by which this machine's clock is ahead of the issuer's; None if the issuer tells none.
    """

    credentials: Credentials
    id_token: str = field(repr=False)
    clock_error: float | None


def with_code(server: Server, code: str, verifier: str, redirect_uri: str) -> Issued:
    """Trade a code for tokens.

    Raises:
        LoginRefused: the code is over, used, or not this client's.
        ServerAway: the issuer cannot be reached.
    """
    fields = {"client_id": server.client_id, "code": code, "code_verifier": verifier, "redirect_uri": redirect_uri}
    return _issued(server, "authorization_code", fields, {})


def refreshed(server: Server, old: Credentials) -> Credentials:
    """Trade a refresh token for a new access token. The refresh token may be another one, too (rotation).

    Raises:
        NotLoggedIn: the refresh token is over, revoked, or was used by another.
        ServerAway: the issuer cannot be reached; the refresh token may still be good.
    """
    fields = {"client_id": server.client_id, "refresh_token": old.refresh_token}
    return _issued(server, "refresh_token", fields, {}, refresh_token=old.refresh_token).credentials


def for_machine(server: Server, machine: MachineClient) -> Credentials:
    """Ask for a machine's access token with its secret.

    Raises:
        LoginRefused: the issuer does not accept the client or a scope.
        ServerAway: the issuer cannot be reached.
    """
    scopes = [scope for scope in server.scopes if scope not in _OF_PERSONS]
    pair = f"{quote_plus(machine.client_id)}:{quote_plus(machine.secret())}"
    headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return _issued(server, "client_credentials", {"scope": " ".join(scopes)}, headers).credentials


def revoke(server: Server, refresh_token: str) -> None:
    """Revoke a refresh token, and with it what was issued for it (RFC 7009).

    Raises:
        LoginRefused: the issuer revokes nothing, so that the login stays good until its end.
        ServerAway: the issuer cannot be reached, or did not revoke.
    """
    if not server.revocation_endpoint:
        raise LoginRefused(f"{server.issuer} revokes no login: it stays good until its end, for whoever has its tokens")
    from authlib.oauth2.rfc7009 import prepare_revoke_token_request

    body, headers = prepare_revoke_token_request(refresh_token, "refresh_token", f"client_id={server.client_id}", {})
    response = http.post(server.revocation_endpoint, body, headers)
    if response.status != 200:
        raise ServerAway(f"{server.issuer} did not revoke the login ({response.status} {_error(response.body)})")


def _issued(
    server: Server, grant: str, fields: dict[str, str], headers: dict[str, str], refresh_token: str = ""
) -> Issued:
    from authlib.oauth2.rfc6749.parameters import prepare_token_request

    asked_at = time.time()
    form = prepare_token_request(grant, "", **{name: value for name, value in fields.items() if value})
    response = http.post(server.token_endpoint, form, headers)
    if response.status != 200 or response.body is None:
        raise _refusal(server, grant, response)
    access_token, lifetime = _access_token(response.body, server), _lifetime(response.body)
    return Issued(
        # Since the time of asking, on this machine's clock: whether that clock is right does not matter then.
        Credentials(
            access_token,
            asked_at,
            asked_at + lifetime,
            _token(response.body, "refresh_token") or refresh_token,
            server.url,
        ),
        _token(response.body, "id_token"),
        None if response.date is None else asked_at - response.date,
    )


def _refusal(server: Server, grant: str, response: http.Response) -> Exception:
    error = _error(response.body)
    if response.status >= 500 or response.status == 429 or not response.status >= 400:
        return ServerAway(f"the issuer of {server.name} answered with {response.status}: try again later")
    if grant == "refresh_token" and error == "invalid_grant":
        return NotLoggedIn(
            f"the login to {server.name} has expired or was revoked: run lambda-router login {server.name}"
        )
    fix = {
        "invalid_grant": "the code has expired or was used before: run lambda-router login again",
        "invalid_client": "the issuer does not know this client, or the secret is wrong: ask the server's owner",
        "invalid_scope": f"the client may not have the scope {' '.join(server.scopes)}: the owner must allow it",
        "unauthorized_client": f"the client may not use {grant}: the owner must allow it at the app client",
    }.get(error, "ask the server's owner")
    return LoginRefused(f"the issuer of {server.name} refused ({response.status} {error}): {fix}")


def _error(body: dict[str, Any] | None) -> str:
    """Return OAuth's error code. The description is left out: it could repeat what was sent."""
    found = (body or {}).get("error")
    return found if isinstance(found, str) and found.replace("_", "").isalnum() and len(found) < 64 else "no reason"


def _access_token(body: dict[str, Any], server: Server) -> str:
    token = _token(body, "access_token")
    if not token or str(body.get("token_type", "")).lower() != "bearer":
        raise BadServer(f"the issuer of {server.name} answered without a Bearer token: ask the server's owner")
    claims = claims_of(token)
    if claims.get("token_use", "access") != "access":
        raise BadServer(f"the issuer of {server.name} sent an id token for an access token: ask the server's owner")
    if claims.get("iss", server.issuer) != server.issuer:
        raise BadServer(f"the token for {server.name} is from another issuer: do not use it, and tell the owner")
    return token


def _token(body: dict[str, Any], name: str) -> str:
    found = body.get(name)
    return (
        found if isinstance(found, str) and len(found) <= _MAX_TOKEN and found.isascii() and found.isprintable() else ""
    )


def _lifetime(body: dict[str, Any]) -> float:
    found = body.get("expires_in", 3_600)
    is_time = isinstance(found, int | float) and not isinstance(found, bool)
    # Compared before it becomes a float: an integer of JSON may be larger than any.
    return float(max(0, min(found, _LONGEST_SECONDS))) if is_time else 3_600.0


def claims_of(token: str) -> dict[str, Any]:
    """Return a JWT's claims without judging them, nothing if it is none. Judging is the server's work."""
    try:
        part = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def clock_words(clock_error: float | None) -> str | None:
    """Return a sentence if this machine's clock is wrong by minutes."""
    if clock_error is None or abs(clock_error) <= _CLOCK_SECONDS:
        return None
    way = "ahead of" if clock_error > 0 else "behind"
    return f"this computer's clock is {abs(clock_error) / 60:.0f} minutes {way} the issuer's: set it"
