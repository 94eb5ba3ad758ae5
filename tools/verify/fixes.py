"""Fixes for a stack that other Terraform contains, such as ``terraform/examples/complete``.

The checks print commands for the stack by itself. ``make plan`` and ``make apply`` are for that stack alone; the other
targets take ``FOLDER``.
"""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from tools.stack.backend import STACK
from tools.stack.findings import Finding
from tools.stack.repository import ROOT, is_stack
from tools.stack.terraform import program

_APPLY = re.compile(r"make plan(?: REPLACE=(\S+))? && make apply")
_TARGET = re.compile(r"\bmake (?:reimport|release|verify)\b")


def for_folder(findings: Iterable[Finding], folder: Path) -> Iterator[Finding]:
    """Yield the findings, with fixes for the Terraform in that folder."""
    for finding in findings:
        yield finding if is_stack(folder) else replace(finding, fix=_contained(finding.fix, _shown(folder)))


def _shown(folder: Path) -> str:
    """Return the folder as one types it in the repository's root."""
    below = folder.absolute()
    return shlex.quote(str(below.relative_to(ROOT) if below.is_relative_to(ROOT) else below))


def _contained(fix: str, folder: str) -> str:
    return _TARGET.sub(rf"\g<0> FOLDER={folder}", _APPLY.sub(partial(_applied, folder), fix))


def _applied(folder: str, found: re.Match[str]) -> str:
    """Return the command for ``make plan && make apply``; a resource to replace is in the module of the stack."""
    replaced = f" -replace=module.{STACK}.{found[1]}" if found[1] else ""
    return f"{program()} -chdir={folder} apply{replaced}"
