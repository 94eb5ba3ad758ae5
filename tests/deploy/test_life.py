"""The stack from its first apply to its end: real Terraform, the real AWS provider, moto for AWS."""

import json

import pytest

import app as app_module
from tests.conftest import LambdaContext
from tests.deploy.conftest import VARIABLES
from tests.deploy.kit.life import NAME, STATE_KEY, Life
from tests.file_secrets import secrets_in_text

pytestmark = pytest.mark.timeout(900)

#: What moto says, in the form of an access key, where AWS says a user's or a role's id.
MOTOS_USER_ID = "AKIA" + "IOSFODNN7EXAMPLE"

#: An SSM parameter tells the version that serves, so it goes with the alias. There are two functions from one zip.
NEW_CODE = {
    "aws_lambda_function.api_handler": "update",
    "aws_lambda_alias.live": "update",
    'module.ssm.aws_ssm_parameter.write["function_version"]': "update",
    "aws_lambda_function.stream[0]": "update",
    "aws_lambda_alias.stream[0]": "update",
    'module.ssm.aws_ssm_parameter.write["stream_function_version"]': "update",
}


def test_the_second_plan_is_empty(life: Life) -> None:
    assert life.changes["again"].actions == {}
    assert life.changes["again"].count == 0


def test_the_last_plan_is_empty(life: Life) -> None:
    assert life.changes["in the end"].actions == {}
    assert life.changes["in the end"].count == 0


def test_terraform_has_nothing_to_complain_of(life: Life) -> None:
    assert [warning for changes in life.changes.values() for warning in changes.warnings] == []


def test_new_code_changes_functions_aliases_and_versions_only(life: Life) -> None:
    assert life.changes["code"].actions == NEW_CODE
    assert (life.held["created"]["version"], life.held["code"]["version"]) == ("1", "2")
    assert life.held["code"]["deployment"] == life.held["created"]["deployment"]


def test_a_changed_route_is_deployed_again(life: Life) -> None:
    assert life.changes["route"].actions == {
        "aws_api_gateway_rest_api.rest_api": "update",
        "aws_api_gateway_deployment.rest_api": "replace",
        "aws_api_gateway_stage.live": "update",
    }
    assert "/v2/health" in life.held["route"]["routes"] - life.held["code"]["routes"]
    assert life.held["route"]["deployment"] != life.held["code"]["deployment"]
    assert life.held["route"]["version"] == life.held["code"]["version"]


def test_a_changed_variable_reaches_a_new_version(life: Life) -> None:
    assert life.changes["variable"].actions == NEW_CODE
    assert life.held["variable"]["environment"]["ROUTER_QUEUE_CAP"] == "5"
    assert life.held["variable"]["version"] == "3"


def test_destroy_leaves_nothing_behind(life: Life) -> None:
    later = [action for changes in life.changes.values() for action in changes.actions.values()]
    made = later.count("create") - later.count("delete") + life.changes["destroy"].count

    assert life.held["after"] == life.held["before"]
    assert life.changes["destroy"].count == made


def test_the_lock_is_gone_too(life: Life) -> None:
    assert [each["Key"] for each in life.held["objects"] if each["Key"].startswith(STATE_KEY)] == [STATE_KEY]


def test_the_state_never_held_the_secret(life: Life) -> None:
    assert VARIABLES["redis_url_parameter"] in life.state
    assert "this-is-the-secret" not in life.state
    state = life.state.replace(MOTOS_USER_ID, "")
    assert list(secrets_in_text(state)) == []
    assert list(secrets_in_text(f"{state}rediss:" + "//user:this-is-the-secret@cache")) == ["a Redis URL"]


def test_the_parameters_tell_what_serves(life: Life) -> None:
    for step in ("created", "code", "variable"):
        held = life.held[step]
        told = held["told"]
        assert told["function_version"] == held["version"]
        assert told["api_id"] == held["api"]
        assert told["api_url"] == f"https://{held['api']}.execute-api.eu-central-1.amazonaws.com/api"
        assert told["function_alias"] == "live"
        assert told["function_arn"].endswith(f":function:{NAME}")
        assert told["stream_function_version"] == held["stream"]["version"]
        assert told["stream_function_alias"] == "live"
        assert told["stream_function_arn"].endswith(f":function:{NAME}-stream")


@pytest.mark.parametrize("function", [NAME, f"{NAME}-stream"])
def test_only_the_gateways_stage_and_the_warm_rule_may_call_the_alias(life: Life, function: str) -> None:
    created = life.held["created"]
    statements = (created if function == NAME else created["stream"])["policy"]["Statement"]

    assert {
        (each["Principal"]["Service"], each["Condition"]["ArnLike"]["AWS:SourceArn"].split(":")[-1])
        for each in statements
    } == {
        ("apigateway.amazonaws.com", f"{life.held['created']['api']}/api/*"),
        ("events.amazonaws.com", f"rule/{NAME}-warm"),
    }
    assert all(each["Resource"].endswith(f":{function}:live") for each in statements)


@pytest.mark.parametrize("function", [NAME, f"{NAME}-stream"])
def test_the_warm_rule_sends_each_alias_a_request_for_health(life: Life, function: str) -> None:
    (target,) = (each for each in life.held["created"]["targets"] if f":function:{function}:live" in each["Arn"])

    assert json.loads(target["Input"])["path"] == "/health"
    assert app_module.app(json.loads(target["Input"]), LambdaContext())["statusCode"] == 200


def test_the_openai_api_streams_from_its_own_function_and_nothing_else_does(life: Life) -> None:
    routes = life.held["created"]["integrations"]
    streamed = {path for path, each in routes.items() if each["responseTransferMode"] == "STREAM"}

    assert streamed == {path for path in routes if path.startswith(("/v1/models", "/v1/responses", "/v1/chat/"))}
    for path, each in routes.items():
        name, version = (f"{NAME}-stream", "2021-11-15") if path in streamed else (NAME, "2015-03-31")
        assert f"path/{version}/functions/arn:aws:lambda:eu-central-1:123456789012:function:{name}:live/" in each["uri"]
    assert {int(each["timeoutInMillis"]) for path, each in routes.items() if path in streamed} == {900_000}


def test_every_log_group_forgets(life: Life) -> None:
    assert len(life.held["created"]["retention"]) == 4
    assert set(life.held["created"]["retention"].values()) == {365}
