"""API Gateway, where moto forgets or does not take what AWS would: imports, exports, and tags given later.

Chalice imports Swagger 2.0, moto OpenAPI 3 only. moto reads paths and integrations, which are the same in both, so the
version is all that is translated. What was imported is kept whole for exports.
"""

import json
import re
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from werkzeug.wrappers import Request, Response

from tests.deploy.cloud.aws_import import begin_import, complete_import

Json = dict[str, Any]
_IMPORT = re.compile(r"^/restapis(?:/(?P<api>[^/]+))?$")
_EXPORT = re.compile(r"^/restapis/(?P<api>[^/]+)/stages/[^/]+/exports/[^/]+$")
_DESCRIBED = re.compile(r"^/(?:restapis/[^/]+(?:/stages/[^/]+)?|domainnames/[^/]+)$")
_TAGS = re.compile(r"^/tags/arn:[^:]+:apigateway:[^:]*::(?P<place>.+)$")


class ApiGateway:
    """Answers what moto would answer wrongly.

    Attributes:
        bodies: the document that each API was last made of, by the API's id.
        tags: tags given after creation, by the path of an API, stage or domain: moto has no address for the former's.
    """

    def __init__(self, moto: Callable[..., Iterable[bytes]]) -> None:
        self._moto = moto
        self.bodies: dict[str, bytes] = {}
        self.tags: dict[str, dict[str, str]] = {}

    def answer(self, request: Request) -> Response | None:
        """None: moto's own is right."""
        if tags := _TAGS.match(request.path):
            return self._tag(request, tags["place"])
        if export := _EXPORT.match(request.path):
            return Response(self.bodies[export["api"]], content_type="application/json")
        if (found := _IMPORT.match(request.path)) and (request.method == "PUT" or "mode" in request.args):
            return self._import(request, found["api"])
        return self._described(request) if request.method == "GET" and _DESCRIBED.match(request.path) else None

    def _tag(self, request: Request, place: str) -> Response:
        kept = self.tags.setdefault(place, {})
        if request.method == "PUT":
            kept |= request.get_json(force=True)["tags"]
        for name in request.args.getlist("tagKeys"):
            kept.pop(name, None)
        return Response(status=204)

    def _import(self, request: Request, api: str | None) -> Response:
        document = request.get_data()
        if api is not None:
            begin_import(api)
        replace_body(request, _as_openapi(json.loads(document)))
        response = Response.from_app(self._moto, request.environ)
        if response.status_code < 300:
            api = api or str(json.loads(response.data)["id"])
            self.bodies[api] = document
            complete_import(api, json.loads(document))
        return response

    def _described(self, request: Request) -> Response:
        response = Response.from_app(self._moto, request.environ)
        if request.path in self.tags and response.status_code < 300:
            answer = json.loads(response.data)
            response.data = json.dumps(answer | {"tags": answer.get("tags", {}) | self.tags[request.path]}).encode()
        return response


def replace_body(request: Request, body: Json) -> None:
    raw = json.dumps(body).encode()
    request.environ["wsgi.input"] = BytesIO(raw)
    request.environ["CONTENT_LENGTH"] = str(len(raw))


def _as_openapi(document: Json) -> Json:
    """The same routes and integrations, as moto takes them."""
    info = {"description": ""} | document["info"]
    kept = {name: value for name, value in document.items() if name != "swagger"}
    return kept | {"openapi": "3.0.1", "info": info}
