"""What every answer has, what is logged and counted of it, and what a bug looks like from outside."""

import json
from copy import replace
from dataclasses import dataclass, field
from typing import Any

import pytest

import app
from chalicelib import wiring
from chalicelib.wiring import Services
from tests.conftest import LambdaContext, Router, gateway_event
from tests.emf import metric_lines
from tests.integration.answers import every_answer, tracebacks
from tests.integration.conftest import Lines
from tests.job_ids import any_job_id


@dataclass
class Broken:
    """A queue with a bug."""

    error: Exception
    asked: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        def method(*_: Any) -> Any:
            self.asked.append(name)
            raise self.error

        return method


def test_every_answer_has_its_request_id_and_one_log_line(router: Router, generate: dict[str, Any], log_lines: Lines):
    replies = every_answer(router, generate)
    lines = [line for line in log_lines() if line["message"] == "request"]
    seen = [(line["request_id"], line["status"]) for line in lines]
    assert seen == [(reply.headers["x-request-id"], reply.status) for reply in replies.values()]
    assert len({request_id for request_id, _ in seen}) == len(replies)
    problems = [reply for reply in replies.values() if reply.status >= 400]
    assert [reply.json["instance"] for reply in problems] == [reply.headers["x-request-id"] for reply in problems]


@pytest.mark.parametrize("path", ["/health", "/v1/jobs/job_x"], ids=["answer", "problem"])
def test_without_the_gateways_id_lambdas_own_is_the_request_id(router: Router, path: str):
    """``chalice local`` and a direct invocation have no API Gateway in front."""
    assert router.token is not None
    event = gateway_event("GET", path, None, {"Authorization": f"Bearer {router.token}"})
    del event["requestContext"]["requestId"]
    context = LambdaContext()
    answer = app.app(event, context)
    assert answer["headers"]["X-Request-Id"] == context.aws_request_id
    if answer["statusCode"] == 404:
        assert json.loads(answer["body"])["instance"] == context.aws_request_id


def test_no_answer_may_be_cached(router: Router, generate: dict[str, Any]):
    for kind, reply in every_answer(router, generate).items():
        assert reply.headers["cache-control"] == "no-store", kind


def test_a_log_line_names_the_route_and_not_the_path(router: Router, generate: dict[str, Any], log_lines: Lines):
    job = router.post("/v1/jobs", generate, stage="/prod").json
    router.get(f"/v1/jobs/{job['id']}", stage="/prod")
    submitted, read = [line for line in log_lines() if line["message"] == "request"]
    assert (submitted["method"], submitted["route"], submitted["job_id"]) == ("POST", "/v1/jobs", job["id"])
    assert (read["method"], read["route"], read["job_id"]) == ("GET", "/v1/jobs/{job_id}", job["id"])
    assert submitted["latency_ms"] > 0
    assert submitted["principal"] == read["principal"]
    assert len(submitted["trace_id"]) == 32


def test_a_refusal_is_logged_with_its_problem_and_reason(router: Router, log_lines: Lines):
    router.as_caller("not-a-token").get("/v1/jobs")
    [line] = [line for line in log_lines() if line["message"] == "request"]
    assert (line["status"], line["problem"]) == (401, "unauthenticated")
    assert line["reason"] == "not a compact JWS"


def test_metrics_count_jobs_replays_and_refusals(
    router: Router, generate: dict[str, Any], capsys: pytest.CaptureFixture[str]
):
    for _ in range(2):
        router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    router.get(f"/v1/jobs/{any_job_id()}")
    lines = metric_lines(capsys.readouterr().out)
    assert [line["JobsAccepted"] for line in lines if "JobsAccepted" in line] == [1]
    assert [line["JobsReplayed"] for line in lines if "JobsReplayed" in line] == [1]
    assert [line["reason"] for line in lines if "RequestsRefused" in line] == ["not-found"]
    assert [line["route"] for line in lines if "Latency" in line] == [
        "POST /v1/jobs",
        "POST /v1/jobs",
        "GET /v1/jobs/{job_id}",
    ]


@pytest.mark.parametrize(
    "call",
    [("POST", "/v1/jobs"), ("GET", "/v1/jobs"), ("GET", f"/v1/jobs/{any_job_id()}"),
     ("DELETE", f"/v1/jobs/{any_job_id()}"), ("GET", "/ready")],
    ids=["submit", "list", "read", "cancel", "ready"],
)  # fmt: skip
def test_a_bug_is_a_500_whose_place_is_in_the_log_and_whose_words_are_nowhere(
    router: Router, services: Services, generate: dict[str, Any], log_lines: Lines, call: tuple[str, str]
):
    queue = Broken(RuntimeError("password of the database"))
    with wiring.use(replace(services, queue=queue)):  # type: ignore[arg-type]
        reply = router.call(*call, generate if call[0] == "POST" else None)
    assert queue.asked
    assert reply.status == 500
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json == {
        "type": "urn:problem-type:lambda-router:internal-error",
        "title": "Internal error",
        "status": 500,
        "instance": reply.headers["x-request-id"],
    }
    [trace] = tracebacks(log_lines())
    assert trace["level"] == "ERROR"
    assert trace["error"] == "RuntimeError"
    assert "test_every_answer.py:" in trace["exception"]
    assert "password of the database" not in str(trace)


def test_the_traceback_of_a_500_can_be_found_by_its_request_id(router: Router, services: Services, log_lines: Lines):
    with wiring.use(replace(services, queue=Broken(RuntimeError("x")))):  # type: ignore[arg-type]
        reply = router.get("/v1/jobs")
    [trace] = tracebacks(log_lines())
    assert trace.get("request_id") == reply.headers["x-request-id"]


def test_after_a_bug_the_next_request_is_answered(router: Router, services: Services):
    with wiring.use(replace(services, queue=Broken(KeyError("x")))):  # type: ignore[arg-type]
        assert router.get("/v1/jobs").status == 500
    assert router.get("/v1/jobs").status == 200
