"""API Gateway's imports, which moto takes as OpenAPI 3 only and keeps little of.

Chalice imports Swagger 2.0. moto reads paths and integrations, which are the same in both, so the version is all that
is translated here; what was imported is kept whole, because moto drops authorizers and scopes.
"""

import json
import re
from typing import Any

from werkzeug.wrappers import Response

Json = dict[str, Any]
IMPORT = re.compile(r"^/restapis(?:/(?P<api>[^/]+))?$")
EXPORT = re.compile(r"^/restapis/(?P<api>[^/]+)/stages/[^/]+/exports/[^/]+$")


class ApiBodies:
    """The document that each API was last made of, by the API's id."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def keep(self, api: str, document: bytes) -> None:
        self._kept[api] = document

    def export(self, api: str) -> Response:
        """As AWS answers ``GetExport``, but in the version that was imported."""
        return Response(self._kept[api], content_type="application/json")


def as_openapi(document: Json) -> Json:
    """The same routes and integrations, as moto takes them."""
    info = {"description": ""} | document["info"]
    kept = {name: value for name, value in document.items() if name != "swagger"}
    return kept | {"openapi": "3.0.1", "info": info}


def is_import(method: str, path: str, query: str) -> bool:
    found = IMPORT.match(path)
    if found is None:
        return False
    return method == "PUT" if found["api"] else method == "POST" and "mode=import" in query


def api_of(path: str, answer: bytes) -> str:
    """The API that an import made or changed."""
    found = IMPORT.match(path)
    return (found and found["api"]) or str(json.loads(answer)["id"])
