"""Refuses a package for a stack whose function has more variables than Lambda takes."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tools.merge.openapi import API_HANDLER
from tools.merge.shape import part
from tools.package.environment import filled, too_large
from tools.stack.configured import Stack, Unknown
from tools.stack.refusal import Refusal
from tools.stack.terraform import TerraformFailed


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
