"""Cognito's user pools, where moto lacks a call or forgets what AWS would keep."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from moto.cognitoidp.models import CognitoIdpUserPool, cognitoidp_backends
from moto.core import DEFAULT_ACCOUNT_ID
from werkzeug.wrappers import Request, Response

from tests.deploy.cloud.aws_apis import replace_body

Json = dict[str, Any]
_TARGET = "AWSCognitoIdentityProviderService."
_JSON = "application/x-amz-json-1.1"
#: Tier of a pool that is made without one: moto names none then.
_FIRST_TIER = "ESSENTIALS"
#: Decided when a pool is made; moto forgets them when it is changed.
_FOR_GOOD = {"AliasAttributes", "UsernameAttributes", "UsernameConfiguration"}


def pool_of(pool_id: str) -> CognitoIdpUserPool:
    """Return a pool by its id, which begins with the region."""
    return cognitoidp_backends[DEFAULT_ACCOUNT_ID][pool_id.partition("_")[0]].user_pools[pool_id]


class UserPools:
    """Answers what moto would answer wrongly.

    Attributes:
        login_versions: the version of the login pages, by domain.
    """

    def __init__(self, moto: Callable[..., Iterable[bytes]]) -> None:
        self._moto = moto
        self.login_versions: dict[str, int] = {}
        self._actions: dict[str, Callable[[Request, Json], Response]] = {
            "CreateUserPool": self._pool,
            "CreateUserPoolDomain": self._domain,
            "DeleteResourceServer": self._delete_resource_server,
            "DescribeUserPool": self._pool,
            "DescribeUserPoolDomain": self._described_domain,
            "UpdateResourceServer": self._update_resource_server,
            "UpdateUserPool": self._updated_pool,
            "UpdateUserPoolDomain": self._domain,
        }

    def answer(self, request: Request) -> Response | None:
        """None: moto's own is right."""
        action = self._actions.get(request.headers.get("X-Amz-Target", "").removeprefix(_TARGET))
        if action is None:
            return None
        given = request.get_json(force=True)
        replace_body(request, given)  # moto reads it again
        return action(request, given)

    def _pool(self, request: Request, _given: Json) -> Response:
        response, told = self._asked(request)
        if "UserPool" in told:
            told["UserPool"].setdefault("UserPoolTier", _FIRST_TIER)
            response.data = json.dumps(told).encode()
        return response

    def _updated_pool(self, request: Request, given: Json) -> Response:
        pool = pool_of(given["UserPoolId"])
        kept = {name: value for name, value in pool.extended_config.items() if name in _FOR_GOOD}
        response, _ = self._asked(request)
        pool.extended_config |= kept
        return response

    def _domain(self, request: Request, given: Json) -> Response:
        if "ManagedLoginVersion" in given:
            self.login_versions[given["Domain"]] = given["ManagedLoginVersion"]
        return self._asked(request)[0]

    def _described_domain(self, request: Request, given: Json) -> Response:
        response, told = self._asked(request)
        if told.get("DomainDescription") and given["Domain"] in self.login_versions:
            told["DomainDescription"]["ManagedLoginVersion"] = self.login_versions[given["Domain"]]
            response.data = json.dumps(told).encode()
        return response

    def _delete_resource_server(self, _request: Request, given: Json) -> Response:
        del pool_of(given["UserPoolId"]).resource_servers[given["Identifier"]]
        return Response("{}", content_type=_JSON)

    def _update_resource_server(self, _request: Request, given: Json) -> Response:
        server = pool_of(given["UserPoolId"]).resource_servers[given["Identifier"]]
        server.name, server.scopes = given["Name"], given.get("Scopes", [])
        return Response(json.dumps({"ResourceServer": server.to_json()}), content_type=_JSON)

    def _asked(self, request: Request) -> tuple[Response, Json]:
        response = Response.from_app(self._moto, request.environ)
        return response, json.loads(response.data or b"{}")
