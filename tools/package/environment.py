"""Lambda's limit on a function's variables, measured as Lambda measures: their JSON object, without spaces, in UTF-8.

AWS documents 4 KB for all variables together (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html);
how they are counted is in the refusal: "exceeded the 4KB limit. String measured: {"NAME":"value",…}".
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
#: As long as the text of Terraform's `local.waits_cap` can be.
_LONGEST_WAITS_CAP = "1000"
_ADVICE = {
    "COGNITO_AUD": "take app clients that no longer call out of COGNITO_AUD, or let callers share one",
    "COGNITO_JWKS": "let COGNITO_JWKS name a URL or a file of the package instead of holding the keys",
}


class TooLarge(NamedTuple):
    """Variables that Lambda would refuse.

    Attributes:
        found: their size, and the largest ones.
        fix: what makes them smaller.
    """

    found: str
    fix: str


def measured(variables: Mapping[str, str]) -> int:
    """Bytes."""
    return len(json.dumps(dict(variables), separators=(",", ":"), ensure_ascii=False).encode())


def too_large(variables: Mapping[str, str]) -> TooLarge | None:
    """What is wrong with their size; None where Lambda takes them."""
    size = measured(variables)
    if size <= LIMIT:
        return None
    sizes = {name: measured({name: value}) for name, value in variables.items()}
    largest = sorted(sizes, key=lambda name: -sizes[name])[:_NAMED]
    found = f"the function's variables take {size:,} bytes of the {LIMIT:,} that Lambda gives them; the largest: "
    named = ", ".join(f"{name} {sizes[name]:,}" for name in largest)
    return TooLarge(found + named, _ADVICE.get(largest[0], f"shorten {largest[0]}"))


def filled(variables: Mapping[str, str], value_of: Callable[[str], str]) -> dict[str, str]:
    """With the values of Terraform's variables in the place of its expressions."""
    named = {"name": f"{value_of('app_name')}-{value_of('stage_name')}", "waits_cap": _LONGEST_WAITS_CAP}

    def value(found: re.Match[str]) -> str:
        kind, name = found.groups()
        return value_of(name) if kind == "var" else named[name]

    return {name: re.sub(r"\$\{(var|local)\.(\w+)\}", value, text) for name, text in variables.items()}


def refuse_variables(document: Mapping[str, Any], stack: Stack) -> None:
    """Measure the function's variables with the values that the stack gives them, as far as they are known.

    Where Terraform cannot say them, they are measured by ``make doctor``, which calls for Terraform first.

    Raises:
        Refusal: Lambda would refuse the function.
    """
    variables = part(dict(document), "resource", *API_HANDLER, "environment", "variables")
    with suppress(TerraformFailed, Unknown):
        variables = filled(variables, stack.text if stack.declared else lambda _: "")
    if fault := too_large(variables):
        raise Refusal(f"{fault.found}: {fault.fix}")
