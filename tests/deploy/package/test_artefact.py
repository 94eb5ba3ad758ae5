"""The zip itself, run by Lambda's own client from a folder that it does not write to, against a real Valkey."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.conftest import MakeToken, gateway_event
from tests.deploy.cloud.runtime_api import RuntimeApi
from tests.deploy.kit.artefact import BUILD, built, running

pytestmark = [pytest.mark.package, pytest.mark.timeout(300)]

ARN = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_TestPool1"
JOB = {"type": "generate", "input": {"prompt": "Why is the sky blue?"}}


@pytest.fixture
def function(environ: dict[str, str]) -> Iterator[RuntimeApi]:
    with running(built().task, environ | {"COGNITO_USER_POOL_ARN": ARN}) as api:
        yield api


def test_it_answers_health_with_its_build(function: RuntimeApi) -> None:
    answer = function.invoke(gateway_event("GET", "/health", None, {}))

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {"status": "ok", "version": BUILD, "function_version": "7"}


def test_a_good_token_puts_a_job_into_the_queue(function: RuntimeApi, make_token: MakeToken, db: "redis.Redis") -> None:
    answer = function.invoke(_post(JOB, {"Authorization": f"Bearer {make_token()}"}))

    assert answer["statusCode"] == 202, answer["body"]
    job = json.loads(answer["body"])
    assert job["status"] == "queued"
    assert [key for key in db.scan_iter() if job["id"] in key]


def test_without_a_token_it_is_401_and_nothing_is_stored(function: RuntimeApi, db: "redis.Redis") -> None:
    answer = function.invoke(_post(JOB, {}))

    assert answer["statusCode"] == 401
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert db.dbsize() == 0


def test_one_process_answers_many_requests(function: RuntimeApi, make_token: MakeToken) -> None:
    headers = {"Authorization": f"Bearer {make_token()}"}

    created = [json.loads(function.invoke(_post(JOB, headers))["body"])["id"] for _ in range(5)]
    looked = [function.invoke(gateway_event("GET", f"/v1/jobs/{name}", None, headers)) for name in created]

    assert len(set(created)) == 5
    assert [answer["statusCode"] for answer in looked] == [200] * 5


def test_a_wrong_method_is_405_with_the_methods_there_are(function: RuntimeApi) -> None:
    answer = function.invoke(gateway_event("PUT", "/v1/jobs", {}, {}))

    assert answer["statusCode"] == 405
    assert {method.strip() for method in answer["headers"]["Allow"].split(",")} == {"GET", "HEAD", "POST"}


def test_it_is_connected_before_the_first_request(
    environ: dict[str, str], make_token: MakeToken, db: "redis.Redis"
) -> None:
    with running(built().task, environ) as api:
        api.invoke(gateway_event("GET", "/health", None, {}))
        db.config_resetstat()
        api.invoke(_post(JOB, {"Authorization": f"Bearer {make_token()}"}))

    assert db.info("stats")["total_connections_received"] == 0
    assert db.info("commandstats")["cmdstat_evalsha"]["calls"] == 1


def test_a_copy_of_a_snapshot_opens_a_connection_of_its_own(
    environ: dict[str, str], make_token: MakeToken, db: "redis.Redis"
) -> None:
    db.config_resetstat()
    with running(built().task, environ | {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}) as api:
        answer = api.invoke(_post(JOB, {"Authorization": f"Bearer {make_token()}"}))

    assert answer["statusCode"] == 202, answer["body"]
    assert db.info("stats")["total_connections_received"] == 2


def test_it_writes_nothing_into_its_own_folder(environ: dict[str, str]) -> None:
    before = _state(built().task)

    with running(built().task, environ) as api:
        api.invoke(gateway_event("GET", "/openapi.json", None, {}))

    assert _state(built().task) == before


def _post(body: Any, headers: dict[str, Any]) -> dict[str, Any]:
    return gateway_event("POST", "/v1/jobs", body, {"Content-Type": "application/json"} | headers)


def _state(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}
