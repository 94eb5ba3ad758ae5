"""Preconditions of a Terraform plan or destroy; each refusal names the one command to run first."""

import json
import os
from pathlib import Path

from tools.merge.document import PAGES
from tools.stack.backend import Backend, StateUnread
from tools.stack.configured import Stack, Unknown
from tools.stack.findings import Finding
from tools.stack.options import Refused
from tools.stack.repository import TERRAFORM, ZIP
from tools.stack.terraform import terraform_path

_STATE = "state's stack"


def refuse_unpackaged(folder: Path) -> None:
    """Raise Refused if a part of the configuration is missing, which Terraform would report at length."""
    for name in (TERRAFORM, ZIP):
        if not (folder / name).is_file():
            raise Refused(f"there is no {folder.name}/{name}: make package first")


def refuse_unready(folder: Path) -> None:
    """Require a package, and a state of the stack that the variables name.

    Raises:
        Refused: there is no package or no backend, the package has pages that the variables do not want or the
            reverse, or the state belongs to another stack.
        TerraformFailed: Terraform is not installed, or it cannot read the variables.
    """
    refuse_unpackaged(folder)
    terraform_path()
    try:
        if Backend.initialised(folder, os.environ) is None:
            raise Refused(f"{folder.name}/ is not initialised: make init STATE_BUCKET=… AWS_REGION=… first")
        stack = Stack(folder=folder)
        refuse_other_pages(folder, stack)
        found = stack_in(Backend.of(folder, os.environ), stack)
    except Unknown:
        return  # Terraform reports what is wrong with the variables
    except StateUnread as why:
        raise Refused(str(why)) from why
    if found is not None and not found.ok:
        raise Refused(f"{found.thing} is {found.found}, wanted {found.wanted}: {found.why}: {found.fix}")


def refuse_other_pages(folder: Path, stack: Stack) -> None:
    """Raise Refused if the package has the pages and ``router_docs`` is false, or the reverse.

    Raises:
        TerraformFailed, Unknown: the variables cannot be read.
    """
    wanted = stack.text("router_docs")
    has_pages = bool(json.loads((folder / TERRAFORM).read_text()).get("locals", {}).get(PAGES))
    if wanted in {"true", "false"} and has_pages != (wanted == "true"):
        packaged = "with" if has_pages else "without"
        raise Refused(f"router_docs is {wanted}, but the package was built {packaged} the pages: make package first")


def stack_in(backend: Backend, stack: Stack) -> Finding | None:
    """Check that the state holds the stack that the variables name; return None before the first apply.

    Raises:
        StateUnread, ClientError: the state cannot be read.
        TerraformFailed, Unknown: the variables cannot be read.
    """
    app, stage = stack.text("app_name"), stack.text("stage_name")
    found = backend.outputs().get("function_name")
    if found is None:
        return None
    if found == f"{app}-{stage}":
        return Finding(_STATE, ok=True, found=found)
    own = Backend(backend.bucket, f"{app}/{stage}.tfstate", backend.region)
    return Finding(
        _STATE,
        ok=False,
        found=f"{found}, in {backend}",
        wanted=f"{app}-{stage}, as app_name and stage_name say",
        why=f"a plan would destroy all of {found}; a second stack needs its own state",
        fix=own.init(),
    )
