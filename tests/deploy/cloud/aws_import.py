"""What AWS makes of an imported body and moto leaves out: authorizers, security, streaming, gateway responses.

Developer guide, api-gateway-swagger-extensions; mode ``overwrite``, the only one that Terraform uses.
"""

from typing import Any

from moto.apigateway.models import APIGatewayBackend, Integration, RestAPI, apigateway_backends
from moto.core import DEFAULT_ACCOUNT_ID

from tools.merge.openapi import ANY_METHOD, INTEGRATION
from tools.merge.responses import RESPONSES

_AUTHORIZER = "x-amazon-apigateway-authorizer"


class _Transferred(Integration):
    """An integration that says how its response is transferred, which moto does not know."""

    response_transfer_mode = "BUFFERED"

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"responseTransferMode": self.response_transfer_mode}


def begin_import(api_id: str) -> None:
    """Forget what the body does not say: the provider's internal/service/apigateway/rest_api.go counts on that."""
    _backend(api_id).get_rest_api(api_id).disableExecuteApiEndpoint = False


def compress(api_id: str, patch: dict[str, Any]) -> None:
    """Take the smallest size of a compressed response from a patch, which moto leaves out; an empty one ends it."""
    for operation in patch.get("patchOperations", []):
        if operation["path"] == "/minimumCompressionSize":
            value = operation.get("value")
            _backend(api_id).get_rest_api(api_id).minimum_compression_size = int(value) if value else None


def forget_settings(api_id: str, stage: str, patch: dict[str, Any]) -> None:
    """Remove the settings of the methods that a patch of a stage removes, which moto keeps."""
    kept = _backend(api_id).get_stage(api_id, stage).method_settings
    for operation in patch.get("patchOperations", []):
        if operation["op"] == "remove":
            kept.pop(operation["path"].removeprefix("/"), None)


def complete_import(api_id: str, body: dict[str, Any]) -> None:
    """Add to moto's API what this body, OpenAPI 3 or Swagger 2, says beside routes and integrations."""
    backend = _backend(api_id)
    api = backend.get_rest_api(api_id)
    api.authorizers.clear()
    api.gateway_responses.clear()
    ids = {
        name: backend.create_authorizer(
            api_id, name, "COGNITO_USER_POOLS", provider_arns=scheme[_AUTHORIZER]["providerARNs"]
        ).id
        for name, scheme in _schemes(body).items()
    }
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            _secure(api, path, method, operation, ids)
    for kind, response in body.get(RESPONSES, {}).items():
        backend.put_gateway_response(
            api_id, kind, response.get("statusCode"), response["responseParameters"], response["responseTemplates"]
        )


def _backend(api_id: str) -> APIGatewayBackend:
    regions = apigateway_backends[DEFAULT_ACCOUNT_ID].values()
    return next(each for each in regions if api_id in each.apis)


def _schemes(body: dict[str, Any]) -> dict[str, Any]:
    schemes: dict[str, Any] = body.get("securityDefinitions") or body.get("components", {}).get("securitySchemes", {})
    return schemes


def _secure(api: RestAPI, path: str, method: str, operation: dict[str, Any], ids: dict[str, Any]) -> None:
    methods = api.get_resource_for_path(path).resource_methods
    if method == ANY_METHOD:
        methods["ANY"] = methods.pop(method.upper())
        methods["ANY"].http_method = method = "ANY"
    described = methods[method.upper()]
    if described.method_integration is not None:
        described.method_integration.integration_type = described.method_integration.integration_type.upper()
        described.method_integration.__class__ = _Transferred
        mode = operation[INTEGRATION].get("responseTransferMode", "BUFFERED")
        described.method_integration.response_transfer_mode = mode
    described.authorization_type = "NONE"
    for scheme, scopes in (rule for each in operation.get("security", []) for rule in each.items()):
        described.authorization_type = "COGNITO_USER_POOLS"
        described.authorizer_id = ids[scheme]
        described.authorization_scopes = scopes
