"""The variables of each stage in ``.chalice/config.json``: keys and their order, from ``chalicelib.settings.Settings``.

People choose the values, with two exceptions. Stage ``terraform`` refers to the Terraform variable of the same name.
Stage ``local`` has none, because Chalice would prefer them to the shell's.
"""

import json
from collections.abc import Mapping

from chalicelib.settings import LOCAL_ENV_FILE, Settings
from tools.docs import terraform

TERRAFORM_STAGE = "terraform"
LOCAL_STAGE = "local"
#: All that stage ``local`` sets. Given a pool's ARN, Chalice would imitate API Gateway's authorizer without checking.
LOCAL = {"COGNITO_USER_POOL_ARN": "", LOCAL_ENV_FILE: ".env"}


def filled_in(text: str) -> str:
    """Return the file with every setting in every stage, in order; unknown variables stay, at the end."""
    config = json.loads(text)
    for stage, chosen in config["stages"].items():
        chosen["environment_variables"] = _variables(stage, chosen.get("environment_variables", {}))
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def names(stage: str, given: Mapping[str, str]) -> list[str]:
    """Return the names that a stage must set: all, but of the two ways to name Redis only the one it uses."""
    if stage == LOCAL_STAGE:
        return list(LOCAL)
    unused = "REDIS_URL_PARAMETER" if "REDIS_URL" in given else "REDIS_URL"
    return [name for name in Settings.names() if name != unused]


def expression(name: str) -> str | None:
    """Return a setting's expression in stage ``terraform``; None if Terraform does not have it."""
    if name.lower() in terraform.LOCALS:
        return f"${{{terraform.LOCALS[name.lower()]}}}"
    return f"${{var.{name.lower()}}}" if name.lower() in terraform.variables() else None


def _variables(stage: str, given: Mapping[str, str]) -> dict[str, str]:
    if stage == LOCAL_STAGE:
        return LOCAL | {name: value for name, value in given.items() if name not in {*LOCAL, *Settings.names()}}
    wanted = names(stage, given)
    strays = {name: value for name, value in given.items() if name not in wanted}
    return {name: _value(stage, name, given) for name in wanted} | strays


def _value(stage: str, name: str, given: Mapping[str, str]) -> str:
    reference = expression(name) if stage == TERRAFORM_STAGE else None
    return reference or given.get(name, terraform.default_text(Settings.model_fields[name.lower()]))
