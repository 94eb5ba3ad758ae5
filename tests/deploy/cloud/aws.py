"""AWS, played by moto on loopback; where moto forgets or mistakes what AWS would keep, it is put right here.

The product knows nothing of this: docs/deploy.md lists what moto cannot show.

    python -m tests.deploy.cloud.aws PORT
"""

import json
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

from moto.cognitoidp.models import cognitoidp_backends
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple
from werkzeug.wrappers import Request, Response

from chalicelib.user_pool import issuers_of
from tests.deploy.cloud import public_images
from tests.deploy.cloud.aws_apis import ApiGateway, replace_body
from tests.deploy.cloud.aws_import import compress, forget_settings
from tests.deploy.cloud.cognito import UserPools
from tests.deploy.cloud.lifecycle_policies import LifecyclePolicies
from tests.deploy.cloud.recorder import Recorder

Json = dict[str, Any]
_FUNCTIONS = re.compile(r"^/2015-03-31/functions(?:/(?P<name>[^/:]+)[^/]*(?P<rest>/.*)?)?$")
#: moto keeps none of these, or not from a change.
_FORGOTTEN = ("LoggingConfig", "SnapStart", "TracingConfig")
#: moto has no GetAccountSettings; a new function's account has these limits.
_ACCOUNT = "/2016-08-19/account-settings"
_LIMITS = {"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}}
#: moto keeps a pool's issuer type, and speaks of the ORIGINAL one all the same.
_DISCOVERY = re.compile(r"^/(?P<pool>(?P<region>[\w-]+)_\w+)/\.well-known/openid-configuration$")
#: One of moto's own images, for ARM.
_IMAGE = "ami-0e9271c829888680e"
_API = re.compile(r"^/restapis/([^/]+)$")
_STAGE = re.compile(r"^/restapis/([^/]+)/stages/([^/]+)$")
#: moto obeys no condition of a bucket's policy, and is asked without TLS: it would refuse everything.
_TLS_ONLY = b"aws:SecureTransport"


class MotoAsAws:
    """A WSGI application around moto's."""

    def __init__(self, moto: Callable[..., Iterable[bytes]]) -> None:
        self._moto = moto
        self._kept: dict[tuple[str, str], Json] = {}
        self._apis = ApiGateway(moto)
        self._pools = UserPools(moto)
        self._lifecycles = LifecyclePolicies()
        self._deleted: set[tuple[str, str]] = set()
        self._bucket_policies: dict[str, bytes] = {}

    def __call__(self, environ: Json, start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        if request.method == "PATCH" and (api := _API.match(request.path)):
            compress(api[1], request.get_json(force=True))
            replace_body(request, _unescaped(request.get_json(force=True)))
        if request.method == "PATCH" and (stage := _STAGE.match(request.path)):
            forget_settings(stage[1], stage[2], request.get_json(force=True))
            replace_body(request, request.get_json(force=True))
        answer = self._told(request) or self._apis.answer(request) or self._pools.answer(request)
        if answer is not None:
            return answer(environ, start_response)
        function = _FUNCTIONS.match(request.path)
        if function is None:
            return self._moto(environ, start_response)
        if (gone := self._gone(request, function["name"])) is not None:
            return gone(environ, start_response)
        if request.method in {"POST", "PUT"} and (function["rest"] or "/configuration") == "/configuration":
            self._remember(request, function["name"])
        response = Response.from_app(self._moto, request.environ)
        if response.status_code < 300 and response.data[:1] == b"{":
            response.data = json.dumps(self._as_aws(json.loads(response.data))).encode()
        return response(environ, start_response)

    def _told(self, request: Request) -> Response | None:
        if told := self._lifecycles.answer(request) or public_images.answer(request, _IMAGE):
            return told
        if request.path == _ACCOUNT:
            return Response(json.dumps(_LIMITS), content_type="application/json")
        if "policy" in request.args and (told := self._bucket_policy(request)):
            return told
        discovery = _DISCOVERY.match(request.path)
        return self._discovered(request, **discovery.groupdict()) if discovery else None

    def _bucket_policy(self, request: Request) -> Response | None:
        bucket = request.host + request.path
        if request.method == "PUT" and _TLS_ONLY in request.get_data():
            self._bucket_policies[bucket] = request.get_data()
            return Response(status=204)
        is_known = request.method == "GET" and bucket in self._bucket_policies
        return Response(self._bucket_policies[bucket], content_type="application/json") if is_known else None

    def _discovered(self, request: Request, pool: str, region: str) -> Response:
        response = Response.from_app(self._moto, request.environ)
        pools = cognitoidp_backends[DEFAULT_ACCOUNT_ID][region].user_pools
        kind = pools[pool].extended_config.get("IssuerConfiguration", {}).get("Type", "ORIGINAL")
        told = json.loads(response.data) | {"issuer": issuers_of(pool)[kind]}
        return Response(json.dumps(told), content_type="application/json")

    def _gone(self, request: Request, name: str | None) -> Response | None:
        """A deleted version is only hidden: moto would give its number to the next one."""
        version = request.args.get("Qualifier", "")
        if name is None or not version.isdigit():
            return None
        if (name, version) in self._deleted:
            return Response('{"Message": "Function not found"}', 404, {"x-amzn-ErrorType": "ResourceNotFoundException"})
        if request.method != "DELETE":
            return None
        self._deleted.add((name, version))
        return Response(status=204)

    def _remember(self, request: Request, name: str | None) -> None:
        given = request.get_json(force=True)
        replace_body(request, given)
        if name is None:
            name = str(given["FunctionName"])
            self._deleted = {each for each in self._deleted if each[0] != name}
        self._kept |= {(name, field): given[field] for field in _FORGOTTEN if field in given}

    def _as_aws(self, answer: Json) -> Json:
        if "Versions" in answer:
            kept = [each for each in answer["Versions"] if (each["FunctionName"], each["Version"]) not in self._deleted]
            return answer | {"Versions": kept}
        if not (answer.get("RoutingConfig") or {}).get("AdditionalVersionWeights"):
            answer.pop("RoutingConfig", None)  # AWS leaves out what is empty
        described = answer.get("Configuration", answer)
        name = described.get("FunctionName", "") if isinstance(described, dict) else ""
        for field in _FORGOTTEN:
            if (name, field) in self._kept:
                described[field] = self._kept[name, field]
        if (name, "SnapStart") in self._kept:
            published = described.get("Version") != "$LATEST"
            described["SnapStart"] = described["SnapStart"] | {"OptimizationStatus": "On" if published else "Off"}
        return answer


def _unescaped(patch: Json) -> Json:
    """moto looks for the media type in ``value``; AWS takes it from the path: ``/binaryMediaTypes/image~1png``.

    Besides, moto takes any text for true.
    """
    for operation in patch.get("patchOperations", []):
        if operation["path"] == "/disableExecuteApiEndpoint" and operation["value"].lower() == "false":
            operation["value"] = ""
        prefix, _, media_type = operation["path"].partition("/binaryMediaTypes/")
        if not prefix and media_type:
            operation["value"] = media_type.replace("~1", "/").replace("~0", "~")
    return patch


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Nobody reads it."""


if __name__ == "__main__":
    run_simple(
        "127.0.0.1",
        int(sys.argv[1]),
        Recorder(MotoAsAws(DomainDispatcherApplication(create_backend_app))),
        threaded=True,
        request_handler=_Silent,
    )
