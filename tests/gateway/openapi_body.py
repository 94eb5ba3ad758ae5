"""A REST API made of an OpenAPI body with API Gateway's extensions, in ministack's own terms.

Developer guide, api-gateway-swagger-extensions; mode ``overwrite``, the only one that Terraform uses. ministack reads
routes and authorizers of such a body for CloudFormation only, and leaves out ``ANY``, templates, integration responses
and gateway responses. Runs with the Python of ``.local/gateway``, so it imports nothing of ours.
"""

from typing import Any

import ministack.services.apigateway_v1 as v1

Json = dict[str, Any]
_ANY = "x-amazon-apigateway-any-method"
_BINARY = "x-amazon-apigateway-binary-media-types"
_INTEGRATION = "x-amazon-apigateway-integration"
_RESPONSES = "x-amazon-apigateway-gateway-responses"


def replace_body(api_id: str, body: Json) -> None:
    """Everything that a body decides is as this one has it."""
    _forget(api_id)
    schemes = v1._import_security_schemes(api_id, body)
    for path, operations in body["paths"].items():
        resource = _resource(api_id, path)
        for key, operation in operations.items():
            method = "ANY" if key == _ANY else key.upper()
            _taken(v1._put_method(api_id, resource, method, v1._method_security(operation.get("security"), schemes)))
            for status, response in operation["responses"].items():
                _taken(v1._put_method_response(api_id, resource, method, status, response))
            _integrate((api_id, resource, method), operation[_INTEGRATION])
    for kind, response in body.get(_RESPONSES, {}).items():
        _taken(v1._put_gateway_response(api_id, kind, response))
    v1._rest_apis[api_id]["binaryMediaTypes"] = list(body.get(_BINARY, []))


def patch(api_id: str, operations: list[Json]) -> list[Json]:
    """Change which media types are binary, and what is compressed; return the operations about something else.

    The type is the last part of an operation's path: ``/binaryMediaTypes/image~1png``. A size is a number in AWS's
    answers, and a text in its patches.
    """
    kept = v1._rest_apis[api_id]["binaryMediaTypes"]
    others = []
    for operation in operations:
        if operation["path"] == "/minimumCompressionSize":
            v1._rest_apis[api_id]["minimumCompressionSize"] = int(operation.get("value") or 0) or None
            continue
        prefix, _, escaped = operation["path"].partition("/binaryMediaTypes/")
        if prefix or not escaped:
            others.append(operation)
            continue
        media_type = escaped.replace("~1", "/").replace("~0", "~")
        kept[:] = [each for each in kept if each != media_type]
        if operation["op"] == "add":
            kept.append(media_type)
    return others


def _forget(api_id: str) -> None:
    resources = v1._resources[api_id]
    root = next(each for each in resources.values() if each["path"] == "/")
    resources.clear()
    resources[root["id"]] = root | {"resourceMethods": {}}
    v1._authorizers_v1[api_id] = {}
    v1._gateway_responses[api_id] = {}


def _resource(api_id: str, path: str) -> str:
    """The id of the resource with this path, made with those above it."""
    v1._import_path_item(api_id, path, {})
    return str(next(each["id"] for each in v1._resources[api_id].values() if each["path"] == path))


def _integrate(place: tuple[str, str, str], integration: Json) -> None:
    shaped = integration | {
        "type": integration["type"].upper(),
        "passthroughBehavior": integration["passthroughBehavior"].upper(),
    }
    _taken(v1._put_integration(*place, shaped))
    api_id, resource, method = place
    kept = v1._resources[api_id][resource]["resourceMethods"][method]["methodIntegration"]
    kept["responseTransferMode"] = integration.get("responseTransferMode", "BUFFERED")
    for pattern, response in integration.get("responses", {}).items():
        selected = "" if pattern == "default" else pattern
        answer = response | {"selectionPattern": selected}
        _taken(v1._put_integration_response(*place, response["statusCode"], answer))


def _taken(answer: tuple[int, Json, bytes]) -> None:
    """AWS refuses a body that it cannot take as a whole (``failonwarnings``)."""
    status, _, said = answer
    if status >= 400:
        raise ValueError(f"{status}: {said.decode()}")
