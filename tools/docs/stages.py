"""The variables of each stage in ``.chalice/config.json``: keys and their order, from ``chalicelib.settings.Settings``.

Values are a person's, but for those of stage ``terraform``, which asks Terraform for the variable of the same name, and
of stage ``local``, which has none: Chalice would let them win over the shell's.
"""

import json
from collections.abc import Mapping

from chalicelib.settings import LOCAL_ENV_FILE, Settings
from tools.docs import terraform

TERRAFORM_STAGE = "terraform"
LOCAL_STAGE = "local"
#: All that stage ``local`` sets. With a pool's ARN, Chalice would imitate API Gateway's authorizer, without checking.
LOCAL = {"COGNITO_USER_POOL_ARN": "", LOCAL_ENV_FILE: ".env"}


def filled_in(text: str) -> str:
    """The file with every setting in every stage, in order. A variable that does not exist stays, at the end."""
    config = json.loads(text)
    for stage, chosen in config["stages"].items():
        chosen["environment_variables"] = _variables(stage, chosen.get("environment_variables", {}))
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def names(stage: str, given: Mapping[str, str]) -> list[str]:
    """What a stage has to set: everything, and of the two ways to name Redis the one that it chose."""
    if stage == LOCAL_STAGE:
        return list(LOCAL)
    unused = "REDIS_URL_PARAMETER" if "REDIS_URL" in given else "REDIS_URL"
    return [name for name in Settings.names() if name != unused]


def expression(name: str) -> str | None:
    """What stage ``terraform`` says for a setting; None where Terraform does not know it."""
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
    asked = expression(name) if stage == TERRAFORM_STAGE else None
    return asked or given.get(name, terraform.default_text(Settings.model_fields[name.lower()]))
