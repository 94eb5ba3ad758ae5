"""Lambda's limit on a function's variables, measured as Lambda does: their JSON object, without spaces, in UTF-8.

AWS documents 4 KB for all variables together (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
Its error message shows how they are counted: "exceeded the 4KB limit. String measured: {"NAME":"value",…}".
"""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from tools.merge.openapi import API_HANDLER
from tools.merge.shape import part
from tools.stack.configured import Stack, Unknown
from tools.stack.refusal import Refusal
from tools.stack.terraform import TerraformFailed

LIMIT = 4_096
_NAMED = 3
#: The longest text that Terraform's `local.waits_cap` can have.
_LONGEST_WAITS_CAP = "1000"
#: Variables of the streaming function only. Lambda's limit counts them, too: terraform/streaming.tf.
OF_STREAMING = {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/chalicelib/streaming/wrapper"}
_ADVICE = {
    "COGNITO_AUD": "remove unused app clients from COGNITO_AUD, or let callers share one",
    "COGNITO_JWKS": "set COGNITO_JWKS to a URL or a file of the package instead of the keys",
}


class TooLarge(NamedTuple):
    """Variables that Lambda would reject.

    Attributes:
        found: their size, and the largest ones.
        fix: how to make them smaller.
    """

    found: str
    fix: str


def measured(variables: Mapping[str, str]) -> int:
    """Return the size in bytes."""
    return len(json.dumps(dict(variables), separators=(",", ":"), ensure_ascii=False).encode())


def too_large(variables: Mapping[str, str]) -> TooLarge | None:
    """Return what is wrong with the size; None if Lambda accepts it."""
    size = measured(variables)
    if size <= LIMIT:
        return None
    sizes = {name: measured({name: value}) for name, value in variables.items()}
    largest = sorted(sizes, key=lambda name: -sizes[name])[:_NAMED]
    found = f"the function's variables take {size:,} bytes, but Lambda's limit is {LIMIT:,}; the largest: "
    named = ", ".join(f"{name} {sizes[name]:,}" for name in largest)
    return TooLarge(found + named, _ADVICE.get(largest[0], f"shorten {largest[0]}"))


def filled(variables: Mapping[str, str], value_of: Callable[[str], str]) -> dict[str, str]:
    """Return the variables with values in place of Terraform's expressions."""
    named = {"name": f"{value_of('app_name')}-{value_of('stage_name')}", "waits_cap": _LONGEST_WAITS_CAP}

    def value(found: re.Match[str]) -> str:
        kind, name = found.groups()
        return value_of(name) if kind == "var" else named[name]

    return {name: re.sub(r"\$\{(var|local)\.(\w+)\}", value, text) for name, text in variables.items()}


def of_streaming(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the streaming function, which has the most."""
    return {**variables, **OF_STREAMING}


def refuse_variables(document: Mapping[str, Any], stack: Stack) -> None:
    """Measure the function's variables with the stack's values, as far as they are known.

    If Terraform cannot provide them, ``make doctor`` measures them later; it checks for Terraform first.

    Raises:
        Refusal: Lambda would reject the function.
    """
    variables = part(dict(document), "resource", *API_HANDLER, "environment", "variables")
    with suppress(TerraformFailed, Unknown):
        variables = filled(variables, stack.text if stack.declared else lambda _: "")
    if fault := too_large(of_streaming(variables)):
        raise Refusal(f"{fault.found}: {fault.fix}")
