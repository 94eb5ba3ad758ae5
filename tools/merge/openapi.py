"""The conversion of Chalice's Swagger 2.0 into OpenAPI 3.0.1, with only routes, integrations and security.

There are no schemas: a REST API accepts only a part of draft 4, and the whole document is served at ``/openapi.json``.
"""

from typing import Any

from tools.merge.shape import Json, demand, demand_keys

API_HANDLER = ("aws_lambda_function", "api_handler")
#: Chalice makes the API call ``$LATEST``, which rules out rollbacks and makes SnapStart useless.
LATEST = "${aws_lambda_function.api_handler.invoke_arn}"
ALIAS = "${aws_lambda_alias.live.invoke_arn}"

#: A path that an API with the pages has, and none without them.
PAGES_PATH = "/docs"
INTEGRATION = "x-amazon-apigateway-integration"
ANY_METHOD = "x-amazon-apigateway-any-method"
MEDIA_TYPES = "x-amazon-apigateway-binary-media-types"
_AUTHORIZER = "x-amazon-apigateway-authorizer"

_DOCUMENT = ("swagger", "info", "schemes", "paths", "definitions", "securityDefinitions", MEDIA_TYPES)
_METHODS = ("delete", "get", "head", "options", "patch", "post", "put")
_OPERATION = ("consumes", "produces", "responses", INTEGRATION, "summary", "description", "security", "parameters")
_SCHEME = ("in", "type", "name", "x-amazon-apigateway-authtype", _AUTHORIZER)
_PROXY = ("type", "uri", "httpMethod", "responses", "passthroughBehavior", "contentHandling")
_MOCK = ("type", "requestTemplates", "responses", "passthroughBehavior", "contentHandling")


def to_openapi(swagger: Json) -> Json:
    """Convert the document.

    Raises:
        UnknownShape: it holds something that this conversion does not handle.
    """
    demand_keys("the Swagger document", swagger, _DOCUMENT, ("swagger", "info", "paths"))
    demand("swagger", swagger["swagger"], "2.0")
    demand("definitions", list(swagger.get("definitions", {"Empty": {}})), ["Empty"])
    schemes = {name: _scheme(name, given) for name, given in swagger.get("securityDefinitions", {}).items()}
    paths = {}
    for path, methods in swagger["paths"].items():
        demand_keys(f"paths.{path}", methods, _METHODS)
        converted = {method: _operation(f"{method} {path}", given) for method, given in methods.items()}
        paths[path] = converted | {ANY_METHOD: _fallback(list(converted.values()))}
    return {
        "openapi": "3.0.1",
        "info": swagger["info"],
        "paths": paths,
        "components": {"securitySchemes": schemes},
        MEDIA_TYPES: swagger.get(MEDIA_TYPES, []),
    }


def _operation(place: str, given: Json) -> Json:
    demand_keys(place, given, _OPERATION, ("responses", INTEGRATION))
    kept = {name: given[name] for name in ("summary", "description", "security") if name in given}
    return kept | {
        "parameters": [_parameter(place, parameter) for parameter in given.get("parameters", [])],
        "responses": {status: _response(place, response) for status, response in given["responses"].items()},
        INTEGRATION: _integration(place, given[INTEGRATION]),
    }


def _fallback(operations: list[Json]) -> Json:
    """Return the method that hands all others to the function, for its 405 with ``Allow``.

    API Gateway itself would report an unknown path. On a guarded path the method requires a token, like its neighbours.
    So strangers start no function, and no method lacks a scope.
    """
    proxied = [operation for operation in operations if operation[INTEGRATION]["type"] == "aws_proxy"]
    guarded = [operation for operation in proxied if "security" in operation]
    return {name: value for name, value in (guarded or proxied)[0].items() if name not in {"summary", "description"}}


def _parameter(place: str, given: Json) -> Json:
    demand_keys(f"{place}, parameter", given, ("name", "in", "required", "type"), ("name", "in", "type"))
    demand(f"{place}, parameter {given['name']}", given["in"], "path")
    return {"name": given["name"], "in": "path", "required": True, "schema": {"type": given["type"]}}


def _response(place: str, given: Json) -> Json:
    demand_keys(f"{place}, response", given, ("description", "schema", "headers"), ("description",))
    headers = {name: {"schema": header} for name, header in given.get("headers", {}).items()}
    return {"description": given["description"]} | ({"headers": headers} if headers else {})


def _integration(place: str, given: Json) -> Json:
    """Return the integration with the alias; the only other kind is the preflight, which API Gateway answers itself."""
    if given.get("type") == "mock":
        demand_keys(f"{place}, integration", given, _MOCK)
        demand(f"the method of the mock {place}", place.split(maxsplit=1)[0], "options")
        return given
    demand_keys(f"{place}, integration", given, _PROXY, _PROXY)
    demand(f"{place}, integration type", given["type"], "aws_proxy")
    demand(f"{place}, integration uri", given["uri"], LATEST)
    return given | {"uri": ALIAS}


def _scheme(name: str, given: Json) -> Json:
    place = f"securityDefinitions.{name}"
    demand_keys(place, given, _SCHEME, _SCHEME)
    demand(place, given["x-amazon-apigateway-authtype"], "cognito_user_pools")
    demand_keys(f"{place}.{_AUTHORIZER}", given[_AUTHORIZER], ("type", "providerARNs"), ("type", "providerARNs"))
    return given


def scopes_of(body: Json) -> list[Any]:
    """Return the scopes that the guarded methods name, in order of appearance."""
    operations = [operation for methods in body["paths"].values() for operation in methods.values()]
    required = [
        scopes for operation in operations for rule in operation.get("security", []) for scopes in rule.values()
    ]
    return list(dict.fromkeys(scope for scopes in required for scope in scopes))
