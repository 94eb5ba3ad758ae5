"""The stack from its first apply to its end: real Terraform, the real AWS provider, moto for AWS."""

import copy
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

import app as app_module
from tests.conftest import LambdaContext
from tests.deploy.conftest import VARIABLES, initialised
from tests.deploy.inventory import client, inventory
from tests.deploy.terraform_cli import Changes, Terraform, copy_of_terraform, write_chalice, write_zip

pytestmark = pytest.mark.timeout(300)

STATE_BUCKET = "state"
STATE_KEY = "lambda-router/prod.tfstate"
BACKEND = (f"bucket={STATE_BUCKET}", f"key={STATE_KEY}", "region=eu-central-1", "use_path_style=true")
SECRET = "rediss://user:this-is-the-secret@redis.example.com:6379/0"
NAME = "lambda-router-prod"
#: An SSM parameter tells the version that serves, so it goes with the alias.
NEW_CODE = {
    "aws_lambda_function.api_handler": "update",
    "aws_lambda_alias.live": "update",
    'module.ssm.aws_ssm_parameter.write["function_version"]': "update",
}


@dataclass
class Life:
    """What Terraform did at each step, and what AWS held then."""

    changes: dict[str, Changes] = field(default_factory=dict)
    held: dict[str, Any] = field(default_factory=dict)
    state: str = ""


@pytest.fixture(scope="module")
def life(terraform: None, aws_url: str, chalice: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Life:
    client("s3", aws_url).create_bucket(
        Bucket=STATE_BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    client("ssm", aws_url).put_parameter(Name=VARIABLES["redis_url_parameter"], Type="SecureString", Value=SECRET)
    stack = copy_of_terraform(tmp_path_factory.mktemp("life"), chalice)
    stack.environ = {
        "AWS_ENDPOINT_URL": aws_url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    initialised(stack, *(f"-backend-config={option}" for option in BACKEND))
    return _live(stack, aws_url, chalice)


def _live(stack: Terraform, url: str, chalice: dict[str, Any]) -> Life:
    life = Life()
    life.held["before"] = inventory(url)
    life.changes["create"] = stack.apply(**VARIABLES)
    life.held["created"] = _serving(url)
    life.changes["again"] = stack.plan(**VARIABLES)

    write_zip(stack.folder, "def app(event, context): return {'statusCode': 200, 'body': '2'}\n")
    life.changes["code"] = stack.apply(**VARIABLES)
    life.held["code"] = _serving(url)

    write_chalice(stack.folder, _with_another_route(chalice))
    life.changes["route"] = stack.apply(**VARIABLES)
    life.held["route"] = _serving(url)

    life.changes["variable"] = stack.apply(**VARIABLES, router_queue_cap=5)
    life.held["variable"] = _serving(url)
    life.changes["in the end"] = stack.plan(**VARIABLES, router_queue_cap=5)
    life.state = client("s3", url).get_object(Bucket=STATE_BUCKET, Key=STATE_KEY)["Body"].read().decode()

    life.changes["destroy"] = stack.destroy(**VARIABLES)
    life.held["after"] = inventory(url)
    life.held["objects"] = client("s3", url).list_objects_v2(Bucket=STATE_BUCKET)["Contents"]
    return life


def _with_another_route(chalice: dict[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(chalice)
    body = json.loads(changed["locals"]["chalice_api_swagger"])
    body["paths"]["/v2/health"] = body["paths"]["/health"]
    changed["locals"]["chalice_api_swagger"] = json.dumps(body)
    return changed


def _serving(url: str) -> dict[str, Any]:
    """What a caller would meet."""
    gateway, function, parameters = client("apigateway", url), client("lambda", url), client("ssm", url)
    api = gateway.get_rest_apis()["items"][0]
    stage = gateway.get_stage(restApiId=api["id"], stageName="api")
    alias = function.get_alias(FunctionName=NAME, Name="live")
    paths = parameters.get_parameters_by_path(Path="/lambda-router/prod/outputs")["Parameters"]
    return {
        "api": api["id"],
        "deployment": stage["deploymentId"],
        "version": alias["FunctionVersion"],
        "routes": {each["path"] for each in gateway.get_resources(restApiId=api["id"], limit=500)["items"]},
        "told": {each["Name"].rpartition("/")[2]: each["Value"] for each in paths},
        "policy": json.loads(function.get_policy(FunctionName=NAME, Qualifier="live")["Policy"]),
        "environment": function.get_function_configuration(FunctionName=NAME)["Environment"]["Variables"],
        "target": client("events", url).list_targets_by_rule(Rule=f"{NAME}-warm")["Targets"][0],
        "retention": {
            each["logGroupName"]: each.get("retentionInDays")
            for each in client("logs", url).describe_log_groups()["logGroups"]
        },
    }


def test_the_second_plan_is_empty(life: Life) -> None:
    assert life.changes["again"].actions == {}
    assert life.changes["again"].count == 0


def test_the_last_plan_is_empty(life: Life) -> None:
    assert life.changes["in the end"].actions == {}
    assert life.changes["in the end"].count == 0


def test_terraform_has_nothing_to_complain_of(life: Life) -> None:
    assert [warning for changes in life.changes.values() for warning in changes.warnings] == []


def test_new_code_changes_function_alias_and_version_only(life: Life) -> None:
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
    assert life.held["after"] == life.held["before"]
    assert life.changes["destroy"].count == life.changes["create"].count


def test_the_lock_is_gone_too(life: Life) -> None:
    assert [each["Key"] for each in life.held["objects"]] == [STATE_KEY]


def test_the_state_never_held_the_secret(life: Life) -> None:
    assert VARIABLES["redis_url_parameter"] in life.state
    assert "this-is-the-secret" not in life.state


def test_the_parameters_tell_what_serves(life: Life) -> None:
    for step in ("created", "code", "variable"):
        held = life.held[step]
        told = held["told"]
        assert told["function_version"] == held["version"]
        assert told["api_id"] == held["api"]
        assert told["api_url"] == f"https://{held['api']}.execute-api.eu-central-1.amazonaws.com/api"
        assert told["function_alias"] == "live"
        assert told["function_arn"].endswith(f":function:{NAME}")


def test_only_the_gateways_stage_and_the_warm_rule_may_call_the_alias(life: Life) -> None:
    statements = life.held["created"]["policy"]["Statement"]

    assert {
        (each["Principal"]["Service"], each["Condition"]["ArnLike"]["AWS:SourceArn"].split(":")[-1])
        for each in statements
    } == {
        ("apigateway.amazonaws.com", f"{life.held['created']['api']}/api/*"),
        ("events.amazonaws.com", f"rule/{NAME}-warm"),
    }
    assert all(each["Resource"].endswith(f":{NAME}:live") for each in statements)


def test_the_warm_rule_sends_the_alias_a_request_for_health(life: Life) -> None:
    target = life.held["created"]["target"]

    assert target["Arn"].endswith(f":function:{NAME}:live")
    assert json.loads(target["Input"])["path"] == "/health"
    assert app_module.app(json.loads(target["Input"]), LambdaContext())["statusCode"] == 200


def test_every_log_group_forgets(life: Life) -> None:
    assert len(life.held["created"]["retention"]) == 3
    assert set(life.held["created"]["retention"].values()) == {365}
