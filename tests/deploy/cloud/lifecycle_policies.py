"""Data Lifecycle Manager, which moto lacks: it keeps policies, and makes no snapshots."""

import json
import re
from typing import Any

from werkzeug.wrappers import Request, Response

Json = dict[str, Any]
_POLICY = re.compile(r"^/policies(?:/(?P<id>[^/]+))?/?$")


class LifecyclePolicies:
    """The policies of one account.

    https://docs.aws.amazon.com/dlm/latest/APIReference/API_CreateLifecyclePolicy.html
    """

    def __init__(self) -> None:
        self._policies: dict[str, Json] = {}

    def answer(self, request: Request) -> Response | None:
        """The response to a request that is signed for this service; None to any other."""
        if "/dlm/aws4_request" not in request.headers.get("Authorization", ""):
            return None
        found = _POLICY.match(request.path)
        if found is None:
            return _json({"Tags": {}})  # of a policy's ARN, by its own path
        return self._create(request) if found["id"] is None else self._one(request, found["id"])

    def _create(self, request: Request) -> Response:
        name = f"policy-{len(self._policies):017x}"
        arn = f"arn:aws:dlm:eu-central-1:123456789012:policy/{name}"
        self._policies[name] = request.get_json(force=True) | {"PolicyId": name, "PolicyArn": arn}
        return _json({"PolicyId": name})

    def _one(self, request: Request, name: str) -> Response:
        if name not in self._policies:
            response = _json({"Message": f"no policy {name}"}, 404)
            response.headers["x-amzn-ErrorType"] = "ResourceNotFoundException"
            return response
        if request.method == "DELETE":
            del self._policies[name]
        if request.method == "PATCH":
            self._policies[name] |= request.get_json(force=True)
        return _json({"Policy": self._policies[name]} if request.method == "GET" else {})


def _json(body: Json, status: int = 200) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")
