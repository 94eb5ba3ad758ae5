"""The local pool's endpoints, as a function from request to response."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from tools.local.pool.authorization import Authorization
from tools.local.pool.clients import Directory
from tools.local.pool.grants import Grants
from tools.local.pool.messages import NO_STORE, Refused, Reply, Request, json_reply
from tools.local.pool.sessions import Sessions
from tools.local.pool.tokens import ALGORITHM, Minter, SigningKey

#: Seconds for which clients may keep the pool's metadata.
_KEPT = {"Cache-Control": "public, max-age=60"}

type Endpoint = Callable[[Request], Reply]


class Pool:
    """A user pool at an address of this machine's loopback."""

    def __init__(
        self, endpoint: str, directory: Directory, sessions: Sessions, minter: Minter, key: SigningKey
    ) -> None:
        self._endpoint, self._directory = endpoint, directory
        authorization = Authorization(endpoint, directory, sessions)
        grants = Grants(directory, sessions, minter, key)
        own = f"/{directory.pool_id}/.well-known"
        self._endpoints: Mapping[str, Mapping[str, Endpoint]] = {
            f"{own}/jwks.json": {"GET": lambda _: json_reply(key.jwks(), headers=_KEPT)},
            f"{own}/openid-configuration": {"GET": lambda _: json_reply(self.metadata(), headers=_KEPT)},
            "/oauth2/authorize": {"GET": authorization.authorize},
            "/login": {"GET": authorization.show_login, "POST": authorization.log_in},
            "/logout": {"GET": authorization.log_out},
            "/oauth2/token": {"POST": grants.token},
            "/oauth2/revoke": {"POST": grants.revoke},
            "/oauth2/userInfo": {"GET": grants.user_info},
        }

    @property
    def issuer(self) -> str:
        return f"{self._endpoint}/{self._directory.pool_id}"

    def metadata(self) -> dict[str, Any]:
        """Return what Cognito publishes about a pool.

        Cognito names neither its PKCE methods nor ``authorization_response_iss_parameter_supported`` (RFC 9207), and
        sends no ``iss`` with a code, so this pool does not either.
        """
        return {
            "authorization_endpoint": f"{self._endpoint}/oauth2/authorize",
            "end_session_endpoint": f"{self._endpoint}/logout",
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/.well-known/jwks.json",
            "response_types_supported": ["code"],
            "revocation_endpoint": f"{self._endpoint}/oauth2/revoke",
            "scopes_supported": ["openid", "email"],
            "subject_types_supported": ["public"],
            "token_endpoint": f"{self._endpoint}/oauth2/token",
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "userinfo_endpoint": f"{self._endpoint}/oauth2/userInfo",
        }

    def answer(self, request: Request) -> Reply:
        """Return the response to a request."""
        if request.headers.get("host") != urlsplit(self._endpoint).netloc:
            # A page of a name that somebody else makes point here (DNS rebinding).
            return Reply(HTTPStatus.MISDIRECTED_REQUEST, NO_STORE)
        methods = self._endpoints.get(request.path)
        if methods is None:
            return Reply(HTTPStatus.NOT_FOUND, NO_STORE)
        if request.method not in methods:
            return Reply(HTTPStatus.METHOD_NOT_ALLOWED, NO_STORE | {"Allow": ", ".join(methods)})
        try:
            return methods[request.method](request)
        except Refused as refused:
            return refused.reply()
