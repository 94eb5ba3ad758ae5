""".chalice/config.json gives every stage every setting, and no secret to any but `local`."""

import json
import re
from typing import Any

import pytest

from chalicelib.settings import LOCAL_ENV_FILE, Settings, SettingsError
from tests.contract.repository import page

CONFIG: dict[str, Any] = json.loads(page(".chalice/config.json"))
STAGES: dict[str, dict[str, Any]] = {name: stage["environment_variables"] for name, stage in CONFIG["stages"].items()}
#: What a person puts in place of the angle brackets of stage `dev`; docs/operations.md explains each.
FILLED_IN = {
    "<user pool id>": "eu-central-1_AbCdEf123",
    "<app client id>": "1h57kf5cpq17m0eml12EXAMPLE",
    "<user pool ARN>": "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEf123",
}
#: Whether there are OPTIONS methods is decided when the app is packaged, before Terraform knows any value.
PLAIN_IN_TERRAFORM = {"ROUTER_CORS_ORIGIN"}

each_stage = pytest.mark.parametrize("stage", STAGES)


def test_the_stages_are_those_of_the_documentation() -> None:
    assert list(STAGES) == ["local", "dev", "terraform"]


@pytest.mark.parametrize("stage", ["dev", "terraform"])
def test_a_stage_sets_every_variable_once(stage: str) -> None:
    assert list(STAGES[stage]) == [name for name in Settings.names() if name != "REDIS_URL"]


@each_stage
def test_values_are_text(stage: str) -> None:
    assert [name for name, value in STAGES[stage].items() if not isinstance(value, str)] == []


@each_stage
def test_no_stage_holds_a_secret(stage: str) -> None:
    text = json.dumps(CONFIG["stages"][stage])

    assert re.findall(r"rediss?://[^\"]*@|AKIA[0-9A-Z]{12}|eyJ[\w-]+\.|-----BEGIN|password|secret", text) == []


def test_stage_local_leaves_every_setting_to_the_shell() -> None:
    """Chalice puts a stage's variables over the shell's. An ARN would have it imitate API Gateway's authorizer."""
    assert STAGES["local"] == {"COGNITO_USER_POOL_ARN": "", LOCAL_ENV_FILE: ".env"}


def test_stage_dev_works_once_its_placeholders_are_filled_in() -> None:
    Settings.from_environ({name: FILLED_IN.get(value, value) for name, value in STAGES["dev"].items()})


def test_stage_dev_is_refused_as_it_stands() -> None:
    with pytest.raises(SettingsError, match="COGNITO_USER_POOL_ID: found '<user pool id>'"):
        Settings.from_environ(STAGES["dev"])


@pytest.mark.parametrize("placeholder", FILLED_IN)
def test_every_placeholder_is_explained(placeholder: str) -> None:
    assert placeholder in STAGES["dev"].values()
    assert f"`{placeholder}`" in page("docs/operations.md")


def test_no_placeholder_is_forgotten() -> None:
    assert {value for value in STAGES["dev"].values() if "<" in value} == set(FILLED_IN)


def test_stage_terraform_asks_terraform_for_the_variable_of_the_same_name() -> None:
    expressions = {name: f"${{var.{name.lower()}}}" for name in STAGES["terraform"] if name not in PLAIN_IN_TERRAFORM}
    expressions["ROUTER_STACK"] = "${local.name}"  # the stack's own name, which no variable repeats
    expressions["ROUTER_WAITS_CAP"] = "${local.waits_cap}"  # follows from reserved_concurrency where nobody set it

    assert {name: STAGES["terraform"][name] for name in expressions} == expressions
    assert [STAGES["terraform"][name] for name in PLAIN_IN_TERRAFORM] == [""]


def test_the_role_in_stage_terraform_is_terraforms() -> None:
    assert {name: value for name, value in CONFIG["stages"]["terraform"].items() if "iam" in name} == {
        "manage_iam_role": False,
        "iam_role_arn": "${module.iam.runtime_role_arn}",
    }


@each_stage
def test_a_stage_keeps_within_the_gateways_limits(stage: str) -> None:
    chosen = {**CONFIG, **CONFIG["stages"][stage]}

    assert chosen["lambda_timeout"] <= 29, "API Gateway gives up after 29 s and Lambda would be paid for nothing"
    assert chosen["lambda_memory_size"] == 512
    assert chosen["api_gateway_endpoint_type"] == "REGIONAL"
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,128}", chosen["api_gateway_stage"])


def test_the_example_environment_is_a_working_one() -> None:
    Settings.from_environ(_assignments(page(".env.example"), commented=False))


def test_every_value_in_the_example_environment_is_good() -> None:
    everything = _assignments(page(".env.example"), commented=True)

    assert list(everything) == Settings.names()
    del everything["REDIS_URL_PARAMETER"]  # one of the two
    Settings.from_environ(everything)


def _assignments(text: str, *, commented: bool) -> dict[str, str]:
    """What a shell or a tool that reads such files would set."""
    pattern = r"^#?([A-Z_]+)=(.*)$" if commented else r"^([A-Z_]+)=(.*)$"
    return dict(re.findall(pattern, text, flags=re.MULTILINE))
