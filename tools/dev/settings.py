"""The settings of a developer's stack: stage ``dev`` of ``.chalice/config.json``, with the shell's values in it."""

import json
from collections.abc import Mapping
from pathlib import Path

from chalicelib.settings import Settings
from tools.package.environment import too_large
from tools.package.source import CONFIG
from tools.stack.refusal import Refusal

#: The only path below which the role in .chalice/policy-dev.json may read parameters.
PARAMETERS = "/lambda-router/dev/"


def fill_in(source: Path, stage: str, shell: Mapping[str, str], *, checked: bool) -> None:
    """Write the shell's values into the copied configuration.

    Unless ``checked``, remaining placeholders become empty: deleting a stack does not need their values.

    Raises:
        Refusal: a placeholder is left, or the role could not read the parameter.
        SettingsError: the function does not accept a value.
    """
    config = json.loads((source / CONFIG).read_text())
    variables = config["stages"][stage]["environment_variables"]
    variables |= {name: shell[name] for name in variables if shell.get(name)}
    if checked:
        _refuse(variables, region_of(shell))
    variables |= {name: "" for name, value in variables.items() if _is_placeholder(value)}
    (source / CONFIG).write_text(json.dumps(config))


def region_of(shell: Mapping[str, str]) -> str:
    """Return the stack's region.

    Raises:
        Refusal: the shell names none; Chalice would use a profile, which may belong to something else.
    """
    region = shell.get("AWS_DEFAULT_REGION") or shell.get("AWS_REGION")
    if not region:
        raise Refusal("the shell names no region: export AWS_REGION=eu-central-1, or another")
    return region


def _refuse(variables: dict[str, str], region: str) -> None:
    left = [f"  {name} is still {value!r}" for name, value in variables.items() if _is_placeholder(value)]
    if left:
        lines = "\n".join(left)
        raise Refusal(
            f"stage dev is not filled in:\n{lines}\nexport these variables, then make deploy-dev; docs/deploy.md"
            " explains where to find their values"
        )
    parameter = variables["REDIS_URL_PARAMETER"]
    if not parameter.startswith(PARAMETERS):
        raise Refusal(
            f"REDIS_URL_PARAMETER is {parameter!r}, which the function's role may not read: put the URL below"
            f" {PARAMETERS}, or change .chalice/policy-dev.json too"
        )
    Settings.from_environ(variables | {"AWS_REGION": region})
    if fault := too_large(variables):
        raise Refusal(f"{fault.found}: {fault.fix}")


def _is_placeholder(value: str) -> bool:
    """Return whether the value is a placeholder of ``.chalice/config.json``, which only describes the value."""
    return value.startswith("<") and value.endswith(">")
