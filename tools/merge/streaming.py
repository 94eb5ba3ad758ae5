"""The integrations of the streaming function: for the paths of the OpenAI API, in place of the buffered ones.

Terraform puts these paths over those of the body, unless ``streaming`` is false (``terraform/streaming.tf``).
"""

from chalicelib.api.responses import OPENAI_PATHS
from tools.merge.openapi import INTEGRATION
from tools.merge.shape import Json

#: The streaming function's alias. It has an address of its own, under another version of Lambda's API.
STREAM_ALIAS = "${local.stream_invoke_arn}"
#: The longest that API Gateway lets a streaming integration take.
TIMEOUT_MS = 900_000


def streamed_paths(body: Json) -> Json:
    """Return the paths of an OpenAPI body that the streaming function serves, with its integrations."""
    return {
        path: {method: _streamed(operation) for method, operation in methods.items()}
        for path, methods in body["paths"].items()
        if path.startswith(OPENAI_PATHS)
    }


def with_paths(body: Json, paths: Json) -> Json:
    """Return the body with these paths in place of its own, as Terraform's ``merge`` does it."""
    return body | {"paths": body["paths"] | paths}


def _streamed(operation: Json) -> Json:
    """Return the operation with a streaming integration; a preflight stays API Gateway's own answer.

    Only what AWS's own examples of such an integration have is kept: API Gateway must not wait for a whole response, so
    it can neither map nor convert it.
    """
    given = operation[INTEGRATION]
    if given["type"] == "mock":
        return operation
    kept = {name: given[name] for name in ("type", "httpMethod", "passthroughBehavior")}
    streamed = {"uri": STREAM_ALIAS, "responseTransferMode": "STREAM", "timeoutInMillis": TIMEOUT_MS}
    return operation | {INTEGRATION: kept | streamed}
