"""chalicelib.api.openapi: the document says what the service does, no more and no less."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from pydantic import BaseModel

import app as app_module
import chalicelib
from chalicelib import errors
from chalicelib.api import openapi
from chalicelib.errors import Problem
from chalicelib.jobs.job_types import JOB_TYPES, JobType, registry
from chalicelib.openai.completion_request import CompletionRequest
from chalicelib.openai.response_request import ResponseRequest
from chalicelib.settings import Settings
from lambda_router_queue.models import Closed
from tests.conftest import Router

METHODS = {"get", "post", "put", "patch", "delete", "head"}


def document_of(job_types: Mapping[str, JobType], scope: str = "lambda-router/jobs") -> dict[str, Any]:
    return openapi.document(app_module.app.routes, job_types, scope)


DOCUMENT = document_of(JOB_TYPES)
OPERATIONS = {
    (method.upper(), path): operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method in METHODS
}
WITH_CONTENT = {name: operation for name, operation in OPERATIONS.items() if name[0] != "HEAD"}
every_operation = pytest.mark.parametrize(
    "operation", WITH_CONTENT.values(), ids=[" ".join(name) for name in WITH_CONTENT]
)


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def problems(operation: dict[str, Any]) -> set[tuple[str, str]]:
    """Status and title of every problem that an operation lists."""
    return {
        (status, title)
        for status, answer in operation["responses"].items()
        if any(f"#/components/schemas/{name}" in references(answer) for name in ("Problem", "OpenAIError"))
        for title in answer["description"].split(" / ")
    }


def test_the_document_is_valid_openapi_31():
    validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["version"] == chalicelib.__version__


def test_every_route_has_an_operation_and_every_operation_a_route():
    routes = {(method, path) for path, methods in app_module.app.routes.items() for method in methods}
    assert set(OPERATIONS) == routes


def test_every_operation_is_in_one_of_the_groups_of_the_document():
    groups = [tag["name"] for tag in DOCUMENT["tags"]]
    assert {operation["tags"][0] for operation in OPERATIONS.values()} == set(groups)
    assert {len(operation["tags"]) for operation in OPERATIONS.values()} == {1}
    assert OPERATIONS["POST", "/v1/jobs"]["tags"] != OPERATIONS["POST", "/v1/responses"]["tags"]


def test_without_the_type_of_the_example_there_is_no_example():
    operation = document_of(registry(JobType("own", Closed)))["paths"]["/v1/jobs"]["post"]
    assert "example" not in operation["requestBody"]["content"]["application/json"]


def example_of(path: str) -> dict[str, Any]:
    """The body that Swagger UI offers to send."""
    example: dict[str, Any] = OPERATIONS["POST", path]["requestBody"]["content"]["application/json"]["example"]
    return example


def test_the_examples_of_jobs_are_accepted_as_they_stand(router: Router):
    job = router.post("/v1/jobs", example_of("/v1/jobs")).json
    batch = router.post("/v1/jobs/batch", example_of("/v1/jobs/batch")).json
    assert [each["status"] for each in (job, *(one["job"] for one in batch["data"]))] == ["queued"] * 3


@pytest.mark.parametrize(
    ("path", "model"), [("/v1/responses", ResponseRequest), ("/v1/chat/completions", CompletionRequest)]
)
def test_the_examples_of_openai_are_valid_and_name_the_model_of_make_run(path: str, model: type[BaseModel]):
    model.model_validate(example_of(path))
    assert example_of(path)["model"] == Settings.model_fields["router_queue"].default


def test_every_operation_has_an_id_of_its_own():
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(ids)) == len(ids)


def test_head_is_get_without_content():
    heads = {path: operation for (method, path), operation in OPERATIONS.items() if method == "HEAD"}
    assert heads.keys() == {path for method, path in OPERATIONS if method == "GET"}
    for path, head in heads.items():
        get = OPERATIONS["GET", path]
        assert [head.get(name) for name in ("parameters", "security")] == [
            get.get(name) for name in ("parameters", "security")
        ]
        assert head["responses"] == {
            status: {name: value for name, value in answer.items() if name != "content"}
            for status, answer in get["responses"].items()
        }


#: An operation cannot answer that its own method is not allowed.
listed = [kind for kind in Problem.kinds() if kind is not errors.MethodNotAllowed]


@pytest.mark.parametrize("kind", listed, ids=lambda kind: kind.__name__)
def test_every_problem_is_listed_under_its_status(kind: type[Problem]):
    assert any((str(kind.status), kind.title) in problems(operation) for operation in OPERATIONS.values())


def test_no_problem_is_listed_that_does_not_exist():
    known = {(str(kind.status), kind.title) for kind in Problem.kinds()}
    assert all(problems(operation) <= known for operation in OPERATIONS.values())


@every_operation
def test_every_operation_may_fail_and_says_how(operation: dict[str, Any]):
    assert {("406", "Not acceptable"), ("500", "Internal error"), ("500", "Service misconfigured")} <= problems(
        operation
    )


@pytest.mark.parametrize(("name", "operation"), WITH_CONTENT.items(), ids=[" ".join(name) for name in WITH_CONTENT])
def test_a_token_is_asked_for_where_jobs_are_and_nowhere_else(name: tuple[str, str], operation: dict[str, Any]):
    guarded = name[1].startswith("/v1/")
    assert operation.get("security") == ([{"cognito": []}] if guarded else [])
    assert (("401", "Not authenticated") in problems(operation)) == guarded
    assert (("403", "Insufficient scope") in problems(operation)) == guarded


def test_the_scope_is_named():
    assert (
        "some/scope"
        in openapi.document(app_module.app.routes, JOB_TYPES, "some/scope")["components"]["securitySchemes"]["cognito"][
            "description"
        ]
    )


def test_every_reference_leads_somewhere_and_every_schema_is_referred_to():
    components = {
        f"#/components/{section}/{name}"
        for section in ("schemas", "headers")
        for name in DOCUMENT["components"][section]
    }
    assert set(references(DOCUMENT)) == components


def faults(name: str, value: Any, document: dict[str, Any] = DOCUMENT) -> list[str]:
    """What is wrong with a value by one of the document's schemas."""
    validator = OAS31Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})
    return [error.message for error in validator.iter_errors(value)]


def test_a_job_as_it_is_answered_fits_its_schema(router: Router, generate: dict[str, Any]):
    job = router.post("/v1/jobs", generate | {"metadata": {"a": "b"}}).json
    assert job["error"] is None
    assert job["result"] is None
    assert faults("Job", job) == []
    assert faults("Job", job | {"error": {"code": "c", "message": "m"}, "result": {"text": "x"}}) == []
    assert faults("Job", job | {"error": "c"})
    assert faults("Job", job | {"status": "pending"})


def test_a_page_as_it_is_answered_fits_its_schema(router: Router, generate: dict[str, Any]):
    router.post("/v1/jobs", generate)
    router.post("/v1/jobs", generate)
    assert faults("JobPage", router.get("/v1/jobs").json) == []
    assert faults("JobPage", router.get("/v1/jobs", query={"limit": ["1"]}).json) == []
    assert faults("JobPage", {"data": []})


@pytest.mark.parametrize(("path", "name"), [("/health", "Health"), ("/ready", "Readiness")])
def test_probes_as_they_are_answered_fit_their_schemas(path: str, name: str, router: Router):
    assert faults(name, router.get(path).json) == []
    assert faults(name, {})


@pytest.mark.parametrize("kind", list(Problem.kinds()), ids=lambda kind: kind.__name__)
def test_a_problem_as_it_is_answered_fits_its_schema(kind: type[Problem]):
    why = ["why"] if kind in (errors.Unauthenticated, errors.InsufficientScope) else []
    assert faults("Problem", kind(*why).to_dict("request-1")) == []
    assert faults("Problem", kind(*why).to_dict(""))


@pytest.mark.parametrize(
    ("job", "fits"),
    [
        ({"type": "generate", "input": {"prompt": "x"}}, True),
        ({"type": "generate", "input": {"prompt": "x", "seed": None, "top_p": 1}, "priority": "low"}, True),
        ({"type": "generate", "input": {"prompt": ""}}, False),
        ({"type": "generate", "input": {}}, False),
        ({"type": "chat", "input": {"prompt": "x"}}, False),
        ({"type": "generate", "input": {"prompt": "x"}, "ttl_seconds": 9}, False),
        ({"type": "generate", "input": {"prompt": "x"}, "extra": 1}, False),
    ],
    ids=str,
)
def test_a_request_fits_its_schema_exactly_when_the_model_takes_it(job: dict[str, Any], fits: bool, router: Router):
    assert (faults("GenerateJobRequest", job) == []) is fits
    assert (router.post("/v1/jobs", job).status == 202) is fits


def test_the_request_body_is_one_of_the_registered_types():
    body = OPERATIONS["POST", "/v1/jobs"]["requestBody"]
    body_schema = body["content"]["application/json"]["schema"]
    assert body["required"] is True
    assert body_schema["discriminator"]["mapping"].keys() == JOB_TYPES.keys()
    assert [option["$ref"] for option in body_schema["oneOf"]] == list(body_schema["discriminator"]["mapping"].values())


class CountInput(Closed):
    """Counts to a number."""

    upto: int


class Counted(Closed):
    """What was counted."""

    reached: int


def test_a_new_type_appears_in_the_document_by_itself():
    own = openapi.document(
        app_module.app.routes, registry(*JOB_TYPES.values(), JobType(name="count", input_model=CountInput)), "s"
    )
    validate(own)
    assert {"CountInput", "CountJobRequest"} <= own["components"]["schemas"].keys()


def test_the_document_is_served_as_it_is_made(router: Router):
    reply = router.as_caller(None).get("/openapi.json")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == DOCUMENT
