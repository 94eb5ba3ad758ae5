"""The pages in a package: ``router_docs`` decides whether it has their routes and files, Swagger UI's among them."""

import importlib.util
import json
import shutil
from pathlib import Path

from chalicelib.pages.files import SWAGGER_UI, SWAGGER_UI_PACKAGE
from tools.package.source import CONFIG
from tools.stack.configured import Stack, Unknown
from tools.stack.refusal import Refusal
from tools.stack.terraform import TerraformFailed

SETTING = "ROUTER_DOCS"
VARIABLE = SETTING.lower()
_FOLDER = "chalicelib/pages"
_LICENSE = "LICENSE"


def wanted(source: Path, stage: str, stack: Stack) -> bool:
    """Return whether a stage's package is to have the pages. In stage ``terraform``, the stack's variable decides.

    Where Terraform is not installed, only the shell's ``TF_VAR_router_docs`` is known. ``make plan`` compares again.

    Raises:
        Refusal: the value is neither true nor false.
    """
    variables = json.loads((source / CONFIG).read_text())["stages"][stage].get("environment_variables", {})
    name, value = SETTING, variables.get(SETTING, "")
    if value == f"${{var.{VARIABLE}}}":
        name, value = VARIABLE, of_stack(stack)
    if value not in {"", "true", "false"}:
        raise Refusal(f"{name} is {value!r}: set it to true or false")
    return bool(value == "true")


def choose(source: Path, stage: str, *, is_on: bool) -> None:
    """Change a copy of the source, so that Chalice packages it with the pages, or without them.

    Raises:
        Refusal: Swagger UI is not installed.
    """
    config = json.loads((source / CONFIG).read_text())
    config["stages"][stage].setdefault("environment_variables", {})[SETTING] = str(is_on).lower()
    (source / CONFIG).write_text(json.dumps(config))
    if not is_on:
        shutil.rmtree(source / _FOLDER)
        return
    target = source / "vendor" / SWAGGER_UI_PACKAGE / "dist"
    target.mkdir(parents=True)
    for name in (*SWAGGER_UI, _LICENSE):
        shutil.copyfile(_swagger_ui() / name, target / name)


def of_stack(stack: Stack) -> str:
    """Return the value of the stack's variable; empty for a folder that is no stack."""
    if not stack.declared:
        return ""
    try:
        return stack.text(VARIABLE)
    except (TerraformFailed, Unknown):
        return stack.environ.get(f"TF_VAR_{VARIABLE}", "")


def _swagger_ui() -> Path:
    found = importlib.util.find_spec(SWAGGER_UI_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise Refusal("Swagger UI, which the pages need, is not installed: make install")
    return Path(next(iter(found.submodule_search_locations))) / "dist"
