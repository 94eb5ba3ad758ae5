"""Routes that API Gateway or Terraform would handle in an unintended way."""

from typing import Any

from tools.stack.refusal import Refusal

#: API Gateway reserves these for its own health checks, at the root of an API with a custom domain (developer guide,
#: api-gateway-known-issues). Chalice packages them without a warning.
RESERVED = ("/ping", "/sping")
#: Chalice puts docstrings into a string in which these begin a Terraform expression.
TERRAFORM_MARKS = ("${", "%{")


def refuse_routes(swagger: dict[str, Any]) -> None:
    """Raise Refusal for a reserved path, and for a docstring that Terraform would not read as plain text."""
    for path, methods in swagger["paths"].items():
        if path.rstrip("/") in RESERVED:
            raise Refusal(
                f"API Gateway reserves the route {path}: rename it to /health, or put it below a prefix such as /v1"
            )
        for method, operation in methods.items():
            docstring = f"{operation.get('summary', '')}\n{operation.get('description', '')}"
            if marks := [mark for mark in TERRAFORM_MARKS if mark in docstring]:
                raise Refusal(
                    f"the docstring of the view behind {method.upper()} {path} contains {marks[0]!r}, which"
                    " begins an expression of Terraform: reword it"
                )
