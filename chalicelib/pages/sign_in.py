"""The sign-in that the pages offer: the pool's domain, the app client, and what is missing."""

import json
from typing import Any, NamedTuple

import chalicelib
from chalicelib.callers.app_clients import AppClients
from chalicelib.errors import SigningKeysUnavailable
from chalicelib.user_pool import PoolSettings


class SignIn(NamedTuple):
    """The facts that the pages need for authorization code with PKCE.

    Attributes:
        missing: names of the settings without which nobody can sign in.
    """

    domain: str | None
    client_id: str | None
    scope: str
    missing: tuple[str, ...]

    def json(self) -> str:
        """Return the facts for the pages' scripts."""
        facts: dict[str, Any] = self._asdict() | {"version": chalicelib.__version__}
        return json.dumps(facts)


def sign_in(settings: PoolSettings, clients: AppClients) -> SignIn:
    """Return the sign-in of this deployment. It fetches the client's id if a parameter has it.

    If that parameter cannot be read, the pages still come, and name its setting.
    """
    domain, client_id = settings.cognito_domain, settings.cognito_login_client_id
    wanted = "COGNITO_LOGIN_CLIENT_ID"
    if settings.cognito_aud_parameter:
        wanted = "COGNITO_AUD_PARAMETER"
        client_id = _first(clients)
    missing = [name for name, value in (("COGNITO_DOMAIN", domain), (wanted, client_id)) if not value]
    return SignIn(domain, client_id, f"openid {settings.router_scope}", tuple(missing))


def _first(clients: AppClients) -> str | None:
    try:
        return clients.first_further()
    except SigningKeysUnavailable:
        return None
