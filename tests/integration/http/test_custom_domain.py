"""The API on a custom domain with a base path: the function's answers are right where the caller is."""

import json
from typing import Any

import pytest

import app as app_module
from tests.conftest import LambdaContext, Router, gateway_event
from tests.integration.answers import assert_problem
from tests.integration.conftest import BuildRouter

WAYS = pytest.mark.parametrize(
    "way",
    [{"base_path": "/router"}, {"base_path": "/api"}, {"stage": "/api"}, {}],
    ids=["base path", "base path named as the stage", "own URL", "no base path"],
)


def _prefix(way: dict[str, str]) -> str:
    return "".join(way.values())


@WAYS
def test_location_leads_to_the_job(router: Router, generate: dict[str, Any], way: dict[str, str]):
    reply = router.post("/v1/jobs", generate, **way)

    assert reply.status == 202
    assert reply.headers["location"] == f"{_prefix(way)}/v1/jobs/{reply.json['id']}"


@WAYS
def test_every_route_is_found(router: Router, generate: dict[str, Any], way: dict[str, str]):
    job = router.post("/v1/jobs", generate, **way).json["id"]

    assert router.get("/health", **way).status == 200
    assert router.get("/ready", **way).status == 200
    assert [each["id"] for each in router.get("/v1/jobs", **way).json["data"]] == [job]
    assert router.post("/v1/jobs/batch", {"jobs": [generate]}, **way).status == 200
    assert router.get(f"/v1/jobs/{job}", **way).status == 200
    assert router.delete(f"/v1/jobs/{job}", **way).status == 200


@WAYS
def test_problems_are_the_same(router: Router, generate: dict[str, Any], way: dict[str, str]):
    assert_problem(router.as_caller(None).post("/v1/jobs", generate, **way), 401)
    assert_problem(router.get("/v1/jobs/job_00000000000000000000000000000000", **way), 404)
    assert_problem(router.get("/v2/jobs", **way), 404)


@WAYS
def test_the_document_says_where_its_paths_begin(router: Router, way: dict[str, str]):
    assert router.get("/openapi.json", **way).json["servers"] == [{"url": _prefix(way) or "/"}]


def test_the_document_is_that_of_the_deployment_that_is_asked(build_router: BuildRouter) -> None:
    """It is built once for a deployment's services."""
    for models in ("tinyllama", "tinyllama,phi-3"):
        router = build_router(ROUTER_MODELS=models)
        for stage in ("/api", "/other", "/api"):
            document = router.get("/openapi.json", stage=stage).json
            assert document["servers"] == [{"url": stage}]
            described = document["components"]["schemas"]["ChatInput"]["properties"]["model"]["description"]
            assert ("phi-3" in described) == ("phi-3" in models)


@pytest.mark.parametrize("path", ["/router/openapi.json/", "/router/openapi%2Ejson"], ids=["slash", "escaped"])
def test_another_spelling_of_the_documents_path_changes_nothing(router: Router, path: str):
    """API Gateway finds the resource all the same, and hands the path on as it came."""
    event = gateway_event("GET", "/openapi.json", None, {})
    event["requestContext"]["path"] = path

    answer = app_module.app(event, LambdaContext())

    assert json.loads(answer["body"])["servers"] == [{"url": "/router"}]
