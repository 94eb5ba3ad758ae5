"""The places outside the code that list settings, line by line: stages, Terraform, example environment, workflows."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chalicelib.settings import OWN_PREFIXES, Settings
from tools.docs import terraform, workflows
from tools.docs.stages import TERRAFORM_STAGE, names

_TEXT = r'"(?:[^"\\]|\\.)*"'
_STAGE = re.compile(rf'"environment_variables"\s*:\s*\{{((?:\s*{_TEXT}\s*:\s*{_TEXT}\s*,?)*)\s*\}}')
_ENTRY = re.compile(rf'"((?:[^"\\]|\\.)*)"\s*:\s*{_TEXT}')
_EXPRESSION = re.compile(r"\$\{var\.(\w+)\}")


@dataclass(frozen=True)
class Name:
    """A setting's name as it was found, and its line, counted from 1."""

    name: str
    line: int


@dataclass(frozen=True)
class Place:
    """One list of settings.

    Attributes:
        path: the file, relative to the repository's root.
        part: which of the lists in that file, such as ``stage dev``; empty if there is only one.
        line: where the list begins.
        wanted: the names that it must have.
        found: the names that it has.
        closed: whether only settings may stand there; otherwise only names with our prefixes can be wrong.
    """

    path: str
    part: str
    line: int
    wanted: Sequence[str]
    found: Sequence[Name]
    closed: bool = False


def places(root: Path) -> Iterator[Place]:
    """Yield every list of settings below that folder; missing files are skipped."""
    yield from _stages(root, ".chalice/config.json")
    generated, variable = "terraform/settings.tf", r'^variable "(\w+)"'
    # Files that hold one list: the pattern of a name, and the names that must be there.
    lists = {path.relative_to(root).as_posix(): (variable, list[str]()) for path in sorted(root.glob("terraform/*.tf"))}
    lists[generated] = (variable, list(terraform.variables()))
    lists[".env.example"] = (r"^#?([A-Z][A-Z_]*)=", Settings.names())
    lists[".env"] = (r"^(?:export +)?([A-Z][A-Z_]*)=", [])  # may omit what has a default
    for name, (pattern, wanted) in lists.items():
        if (root / name).exists():
            found = _names(re.compile(pattern, re.MULTILINE), (root / name).read_text(encoding="utf-8"))
            yield Place(name, "", 1, wanted, found, closed=name == generated)
    for path in sorted(root.glob(".github/workflows/*.yml")):
        yield from _workflow(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))


def _stages(root: Path, name: str) -> Iterator[Place]:
    if not (root / name).exists():
        return
    text = (root / name).read_text(encoding="utf-8")
    stages = [stage for stage, chosen in json.loads(text)["stages"].items() if "environment_variables" in chosen]
    for stage, block in zip(stages, _STAGE.finditer(text), strict=True):
        part, line, first_line = f"stage {stage}", _line(text, block.start()), _line(text, block.start(1))
        found = _names(_ENTRY, block[1], first_line)
        wanted = names(stage, {each.name: "" for each in found})
        yield Place(name, part, line, wanted, found, closed=True)
        if stage == TERRAFORM_STAGE:
            expressions = _names(_EXPRESSION, block[1], first_line)
            yield Place(name, f"{part}, values", line, list(terraform.variables()), expressions, closed=True)


def _workflow(name: str, text: str) -> Iterator[Place]:
    """Yield each generated block and the rest; the rest must be complete if there is no block."""
    variable = re.compile(r"^ *TF_VAR_(\w+):", re.MULTILINE)
    known = list(terraform.variables())
    blocks = list(workflows.BLOCK.finditer(text))
    for block in blocks:
        line = _line(text, block.start())
        yield Place(name, "", line, known, _names(variable, block["body"], line + 1))
    outside = _names(variable, workflows.BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text))
    ours = [each for each in outside if looks_ours(each.name)]
    if ours:
        yield Place(name, "", ours[0].line, [] if blocks else known, outside)


def looks_ours(name: str) -> bool:
    """Return whether the name has a prefix that is reserved for settings, in the environment or in Terraform."""
    return name.upper().startswith(OWN_PREFIXES)


def _names(pattern: re.Pattern[str], text: str, first_line: int = 1) -> list[Name]:
    return [Name(found[1], first_line - 1 + _line(text, found.start(1))) for found in pattern.finditer(text)]


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
