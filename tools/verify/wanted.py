"""The wanted state: the package beside Terraform, or what Terraform applied last."""

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tools.merge.document import BODY, STREAMED
from tools.merge.openapi import ALIAS, API_HANDLER
from tools.merge.shape import Json, part
from tools.merge.streaming import STREAM_ALIAS, with_paths
from tools.package.writer import sums_of
from tools.stack.deployed import DeployedStack
from tools.stack.repository import TERRAFORM, ZIP

_VERSIONED = "chalicelib/__init__.py"
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


class NoPackage(Exception):
    """There is no package, or an expression in it cannot be resolved; the message says what to do."""


@dataclass(frozen=True)
class Wanted:
    """The values that each check compares with.

    Attributes:
        code_sha256: of the zip, in Lambda's notation.
        body: the API as OpenAPI, with all Terraform expressions resolved.
        variables: of the function.
        build: the ``version`` of ``/health``; None if only Terraform's state is known, which has the sha256.
    """

    code_sha256: str
    body: Json
    variables: Mapping[str, str]
    build: str | None

    @classmethod
    def packaged(cls, stack: DeployedStack, folder: Path) -> Self:
        """Return what ``make package`` wrote into this folder, with the values that Terraform was given.

        Raises:
            NoPackage: a file is missing, or an expression has no known value; the message names it.
        """
        for name in (ZIP, TERRAFORM):
            if not (folder / name).is_file():
                raise NoPackage(f"there is no {folder.name}/{name}: make package")
        document = json.loads((folder / TERRAFORM).read_text())
        variables = part(document, "resource", *API_HANDLER, "environment", "variables")
        values = {
            written: stack.function_variables.get(name, "")
            for name, written in variables.items()
            if written.startswith("${")
        } | {ALIAS: stack.function_invoke_arn}
        body = json.loads(part(document, "locals", BODY))
        if stack.streaming is not None:
            values |= {STREAM_ALIAS: stack.streaming.function_invoke_arn}
            body = with_paths(body, json.loads(part(document, "locals", STREAMED)))
        return cls(
            code_sha256=sums_of(folder / ZIP).code_sha256,
            body=_filled(body, values),
            variables=_filled(variables, values),
            build=build_in(folder / ZIP),
        )

    @classmethod
    def applied(cls, stack: DeployedStack) -> Self:
        return cls(stack.code_sha256, json.loads(stack.api_body), stack.function_variables, None)


def build_in(path: Path) -> str:
    """Return the version that a package gives itself.

    Raises:
        NoPackage: it has none.
    """
    with zipfile.ZipFile(path) as archive:
        found = _VERSION.search(archive.read(_VERSIONED).decode()) if _VERSIONED in archive.namelist() else None
    if found is None:
        raise NoPackage(f"{path.parent.name}/{path.name} has no version in {_VERSIONED}: make package")
    return found[1]


def _filled(node: Any, values: Mapping[str, str]) -> Any:
    """Return the document with values in place of expressions.

    Raises:
        NoPackage: an expression has no known value.
    """
    if isinstance(node, dict):
        return {name: _filled(value, values) for name, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, values) for value in node]
    if not isinstance(node, str):
        return node
    for written, value in values.items():
        node = node.replace(written, value)
    if "${" in node:
        raise NoPackage(f"{TERRAFORM} holds {node}, which no variable of the function resolves: make package")
    return node
