"""Settings that the shell exports while a package is made: none of them gets in, and that is said.

A package is named for its commit, and ``make package`` of the same commit gives the same bytes: so what it holds comes
from the repository, and what differs between accounts from Terraform's variables.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.package.source import CONFIG
from tools.stack.refusal import Refusal

_EXPRESSION = "${"
_VARIABLE = "${var."


def refuse_shell(source: Path, stage: str, shell: Mapping[str, str]) -> Iterator[str]:
    """Say which exported settings come from Terraform instead.

    Raises:
        Refusal: the stage has a value of its own for one, and another than the shell's.
    """
    variables: dict[str, str] = json.loads((source / CONFIG).read_text())["stages"][stage].get(
        "environment_variables", {}
    )
    differing = {name: value for name, value in variables.items() if shell.get(name) and shell[name] != value}
    for name, value in differing.items():
        if _EXPRESSION not in value:
            raise Refusal(
                f"{name} is {shell[name]!r} in the shell, but stage {stage} of {CONFIG} has {value!r}, which is what a"
                f" package of this commit holds: write your value there and commit it, or unset {name}"
            )
    given = [f"TF_VAR_{name.lower()}=…" for name, value in differing.items() if value.startswith(_VARIABLE)]
    if given:
        yield (
            f"not from the shell: {', '.join(name for name in differing if differing[name].startswith(_VARIABLE))}."
            f" Terraform's variables have these: {' '.join(given)}, or a file"
            " terraform/*.auto.tfvars, when you make plan"
        )
    for name, value in differing.items():
        if not value.startswith(_VARIABLE):
            yield f"{name} is {shell[name]!r} in the shell, but Terraform makes it: {value}"
