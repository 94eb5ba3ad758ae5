"""Chat completions, models, and what is refused."""

import json
from typing import Any

import pytest
import redis

from tests.conftest import LambdaContext, Reply, Router
from tests.integration.conftest import BuildRouter
from tests.integration.in_redis import stored_jobs
from tests.integration.openai.openai_calls import MODEL, answering, error_of, queued, response

USER = {"role": "user", "content": "hello"}


def complete(router: Router, *, context: LambdaContext | None = None, **members: Any) -> Reply:
    return router.post("/v1/chat/completions", {"model": MODEL, "messages": [USER]} | members, context=context)


def test_a_completion_has_the_models_message_and_its_tokens(router: Router, worker: None) -> None:
    reply = complete(router, metadata={"a": "b"})
    assert reply.status == 200
    (choice,) = reply.json["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("HELLO", "stop")
    assert reply.json["usage"]["total_tokens"] == 5
    (job,) = router.get("/v1/jobs").json["data"]
    assert (job["id"].removeprefix("job_"), job["metadata"]) == (
        reply.json["id"].removeprefix("chatcmpl-"),
        {"a": "b"},
    )


def test_a_completion_that_takes_too_long_names_its_job(router: Router) -> None:
    reply = complete(router, context=LambdaContext(remaining_ms=2_300))
    assert error_of(reply) == (503, "still_running", None)
    (job,) = router.get("/v1/jobs").json["data"]
    assert f"GET /v1/jobs/{job['id']}" in reply.json["error"]["message"]


def test_a_job_that_failed_is_an_error_that_is_not_repeated(router: Router, redis_url: str) -> None:
    async def fail(job: Any) -> Any:
        from lambda_router_worker.outcomes import JobFailed

        raise JobFailed("context_too_long", "Send less.")

    with answering(redis_url, fail):
        reply = complete(router)
    assert error_of(reply) == (500, "context_too_long", None)
    assert reply.headers["x-should-retry"] == "false"


def test_the_models_are_those_of_the_setting(build_router: BuildRouter) -> None:
    router = build_router(ROUTER_MODELS="tinyllama,org/phi-3=second")
    assert [model["id"] for model in router.get("/v1/models").json["data"]] == ["tinyllama", "org/phi-3"]
    assert router.get("/v1/models/org%2Fphi-3").json["id"] == "org/phi-3"
    assert error_of(router.get("/v1/models/other")) == (404, "model_not_found", "model")


def test_without_the_setting_there_is_one_model_named_like_the_queue(build_router: BuildRouter) -> None:
    router = build_router(ROUTER_QUEUE="phi")
    assert [model["id"] for model in router.get("/v1/models").json["data"]] == ["phi"]


def test_a_model_has_its_queue_in_every_api(build_router: BuildRouter) -> None:
    router = build_router(ROUTER_MODELS="tinyllama,phi=second")
    queued(router, model="phi")
    chat = {"type": "chat", "input": {"messages": [USER], "model": "phi"}}
    assert router.post("/v1/jobs", chat).json["queue"] == "second"
    batch = router.post("/v1/jobs/batch", {"jobs": [chat, {"type": "chat", "input": {"messages": [USER]}}]}).json
    assert [item["job"]["queue"] for item in batch["data"]] == ["second", "tinyllama"]
    assert {job["queue"] for job in router.get("/v1/jobs").json["data"]} == {"second", "tinyllama"}


def test_an_unknown_model_is_refused_in_every_api(router: Router, db: redis.Redis) -> None:
    assert error_of(response(router, model="other")) == (404, "model_not_found", "model")
    assert error_of(complete(router, model="other")) == (404, "model_not_found", "model")
    job = router.post("/v1/jobs", {"type": "chat", "input": {"messages": [USER], "model": "other"}})
    assert (job.status, job.json["errors"][0]["pointer"]) == (422, "/input/model")
    assert stored_jobs(db) == 0


def deep(levels: int) -> Any:
    return {"type": "object"} if levels == 0 else {"properties": {"a": deep(levels - 1)}}


REFUSED: dict[str, tuple[dict[str, Any], tuple[int, str, str | None]]] = {
    "a stream": ({"stream": True}, (400, "invalid_value", "stream")),
    "an unknown member": ({"best_of": 2}, (400, "unknown_parameter", "best_of")),
    "no model": ({"model": None}, (400, "invalid_value", "model")),
    "a conversation of OpenAI's": ({"conversation": "conv_1"}, (400, "invalid_value", "conversation")),
    "OpenAI's own tool": ({"tools": [{"type": "web_search"}]}, (400, "invalid_value", "tools[0].type")),
    "an image elsewhere": (
        {
            "input": [
                {
                    "role": "user",
                    "content": [{"type": "input_image", "image_url": "http://169.254.169.254/latest/meta-data"}],
                }
            ]
        },
        (400, "invalid_value", "input"),
    ),
    "too many tokens": ({"max_output_tokens": 10**9}, (400, "invalid_value", "max_output_tokens")),
    "a window without background": (
        {"background_options": {"completion_window": "2h"}},
        (400, "invalid_value", "background_options.completion_window"),
    ),
    "a choice without tools": ({"tool_choice": "required"}, (400, "invalid_value", "tool_choice")),
    "an output without its call": (
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
        (400, "unknown_call_id", "input"),
    ),
    "too much": ({"input": "x" * 600_000}, (400, "invalid_value", "input")),
}


@pytest.mark.parametrize(("members", "wanted"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_supported_is_refused_by_name(
    router: Router, db: redis.Redis, members: dict[str, Any], wanted: tuple[int, str, str | None]
) -> None:
    given = {"background": True} | members if "background_options" not in members else members
    reply = router.post("/v1/responses", {"model": MODEL, "input": "hello"} | given)
    assert error_of(reply) == wanted
    assert stored_jobs(db) == 0


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"{", (400, "malformed_request")),
        (b"[]", (400, "invalid_type")),
        (b'{"model": "tinyllama", "input": "' + b"x" * 2**20 + b'"}', (413, "payload_too_large")),
        (json.dumps({"model": MODEL, "input": "x", "tools": [deep(500)]}).encode(), (400, "malformed_request")),
    ],
    ids=["broken", "no object", "too large", "too deep"],
)
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_a_body_that_cannot_be_read_is_refused_in_openais_form(
    router: Router, path: str, body: bytes, wanted: tuple[int, str]
) -> None:
    assert error_of(router.post(path, body))[:2] == wanted


def test_without_a_token_the_error_has_openais_form_too(router: Router) -> None:
    stranger = router.as_caller(None)
    for reply in (response(stranger), stranger.get("/v1/models"), complete(stranger)):
        assert error_of(reply) == (401, "invalid_api_key", None)
        assert reply.json["type"].endswith("unauthenticated")


def test_the_limits_of_jobs_hold_here(metered: Router) -> None:
    replies = [response(metered, background=True) for _ in range(6)]
    assert [reply.status for reply in replies] == [200] * 5 + [429]
    assert error_of(replies[-1]) == (429, "rate_limit_exceeded", None)
    assert int(replies[-1].headers["retry-after"]) <= 60
