"""What make deploy-dev refuses before anything is created, and its message."""

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from chalicelib.settings import SettingsError
from tests.contract.repository import ROOT, page
from tests.deploy.test_two_ways import checkout
from tests.unit import peers
from tools.dev.__main__ import run
from tools.dev.settings import PARAMETERS, fill_in
from tools.package.source import CONFIG
from tools.stack.refusal import Refusal

GOOD = {
    "AWS_REGION": "eu-central-1",
    "COGNITO_USER_POOL_ID": "eu-central-1_AbCdEf123",
    "COGNITO_AUD": "1h57kf5cpq17m0eml12EXAMPLE",
    "COGNITO_USER_POOL_ARN": "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEf123",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / CONFIG).parent.mkdir()
    (tmp_path / CONFIG).write_text(page(CONFIG))
    return tmp_path


def _variables(source: Path) -> dict[str, str]:
    return dict(json.loads((source / CONFIG).read_text())["stages"]["dev"]["environment_variables"])


def test_the_shells_values_take_the_placeholders_places(source: Path) -> None:
    fill_in(source, "dev", GOOD | {"ROUTER_QUEUE_CAP": "7", "ROUTER_LOG_LEVEL": ""}, checked=True)

    variables = _variables(source)
    assert variables["COGNITO_USER_POOL_ID"] == GOOD["COGNITO_USER_POOL_ID"]
    assert (variables["ROUTER_QUEUE_CAP"], variables["ROUTER_LOG_LEVEL"]) == ("7", "INFO")


def test_a_placeholder_that_is_left(source: Path) -> None:
    with pytest.raises(Refusal) as refused:
        fill_in(source, "dev", {"AWS_REGION": "eu-central-1", "COGNITO_AUD": "a"}, checked=True)

    assert str(refused.value) == (
        "stage dev is not filled in:\n"
        "  COGNITO_USER_POOL_ID is still '<user pool id>'\n"
        "  COGNITO_USER_POOL_ARN is still '<user pool ARN>'\n"
        "export these variables, then make deploy-dev; docs/deploy.md explains where to find their values"
    )


def test_a_value_that_the_function_would_not_take(source: Path) -> None:
    with pytest.raises(SettingsError, match=r"COGNITO_USER_POOL_ID: found 'mine'"):
        fill_in(source, "dev", GOOD | {"COGNITO_USER_POOL_ID": "mine"}, checked=True)


def test_more_variables_than_lambda_takes(source: Path) -> None:
    many = ",".join(f"1h57kf5cpq17m0eml12{number:07}" for number in range(161))

    with pytest.raises(Refusal, match="the largest: COGNITO_AUD 4,3"):
        fill_in(source, "dev", GOOD | {"COGNITO_AUD": many}, checked=True)


def test_a_parameter_that_the_role_may_not_read(source: Path) -> None:
    with pytest.raises(
        Refusal, match=r"^REDIS_URL_PARAMETER is '/prod/redis-url', which .* put the URL below /lambda-"
    ):
        fill_in(source, "dev", GOOD | {"REDIS_URL_PARAMETER": "/prod/redis-url"}, checked=True)


def test_a_shell_without_a_region(source: Path) -> None:
    with pytest.raises(Refusal, match=r"^the shell names no region: export AWS_REGION=eu-central-1"):
        fill_in(source, "dev", GOOD | {"AWS_REGION": ""}, checked=True)


def test_a_stack_is_deleted_without_its_values(source: Path) -> None:
    fill_in(source, "dev", {}, checked=False)

    assert [value for value in _variables(source).values() if "<" in value] == []


def test_nothing_to_delete(tmp_path: Path) -> None:
    with pytest.raises(
        Refusal, match=r"^no \.chalice/deployed/dev\.json here: delete the stack from the checkout that"
    ):
        run(GOOD, root=tmp_path, delete=True)


DENIED = """<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized to perform: iam:GetRole</Message>
</Error></ErrorResponse>"""


@pytest.mark.parametrize(
    ("aws", "error"),
    [
        (lambda: nullcontext(peers.CLOSED_PORT), "Could not connect to the endpoint URL"),
        (lambda: peers.api(lambda _: peers.Said(403, "text/xml", DENIED)), "not authorized to perform: iam:GetRole"),
    ],
    ids=["unreachable", "denied"],
)
def test_the_call_that_aws_did_not_answer_is_named(
    aws: Callable[[], AbstractContextManager[str]], error: str, tmp_path: Path
) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_MAX_ATTEMPTS": "1"}

    with aws() as url, pytest.raises(Refusal) as refused:
        run(GOOD | keys | {"AWS_ENDPOINT_URL": url, "PATH": os.defpath}, root=checkout(tmp_path / "checkout"))

    said = str(refused.value)
    assert "client.get_role(RoleName=" in said
    assert error in said.splitlines()[-1]
    assert "/botocore/" not in said


def test_the_role_may_read_what_the_stage_names() -> None:
    config, policy = json.loads(page(CONFIG))["stages"]["dev"], json.loads(page(".chalice/policy-dev.json"))
    (read,) = [each for each in policy["Statement"] if "ssm:GetParameter" in each["Action"]]

    assert (ROOT / ".chalice" / config["iam_policy_file"]).exists()
    assert config["environment_variables"]["REDIS_URL_PARAMETER"].startswith(PARAMETERS)
    assert read["Resource"] == [f"arn:*:ssm:*:*:parameter{PARAMETERS}*"]


def test_the_role_may_do_nothing_everywhere() -> None:
    statements = json.loads(page(".chalice/policy-dev.json"))["Statement"]

    assert [each["Sid"] for each in statements if "*" in [*each["Resource"], *each["Action"]]] == []
