"""Responses: created in the background or held, read, cancelled, deleted."""

from typing import Any

import pytest
import redis

from tests.conftest import LambdaContext, Router
from tests.integration.conftest import BuildRouter
from tests.integration.http.test_frugality import commands
from tests.integration.in_redis import KEYS, every_text, stored_jobs
from tests.integration.openai.openai_calls import MODEL, error_of, job_of, output_text, queued, read, response
from tests.integration.openai.streaming import StreamingContext
from tests.integration.worker.worker_hand import begin_job, finish_job

RESULT = {
    "text": "hi",
    "finish_reason": "stop",
    "model": "m",
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    "message": {"role": "assistant", "content": "hi"},
}


def test_a_background_response_is_a_queued_job_that_both_apis_show(router: Router, redis_url: str) -> None:
    response_id = queued(router, metadata={"a": "b"})
    assert read(router, response_id)["status"] == "queued"
    begin_job(redis_url)
    assert read(router, response_id)["status"] == "in_progress"
    job = router.get(job_of(response_id)).json
    assert (job["type"], job["status"], job["metadata"]) == ("chat", "in_progress", {"a": "b"})


def test_a_completed_response_has_the_models_text_and_its_tokens(router: Router, redis_url: str) -> None:
    response_id = queued(router)
    finish_job(redis_url, result=RESULT)
    found = read(router, response_id)
    assert (found["status"], output_text(found)) == ("completed", "hi")
    assert (found["usage"]["input_tokens"], found["usage"]["output_tokens"]) == (1, 2)


def test_a_held_response_comes_when_it_is_final(router: Router, worker: None) -> None:
    reply = response(router, instructions="be loud")
    assert (reply.status, reply.json["status"]) == (200, "completed")
    assert output_text(reply.json) == "BE LOUD HELLO"


WAYS: dict[str, dict[str, Any]] = {
    "in the background": {"background": True},
    "held": {},
    "streamed": {"stream": True, "context": StreamingContext()},
}


@pytest.mark.parametrize("members", WAYS.values(), ids=WAYS)
def test_a_stored_response_tells_its_callers_rate(
    build_router: BuildRouter, worker: None, members: dict[str, Any]
) -> None:
    router = build_router(ROUTER_RATE_PER_MINUTE="30", ROUTER_RATE_BURST="7")
    left = [response(router, **members).headers for _ in range(2)]
    assert [headers["ratelimit"].partition(";t=")[0] for headers in left] == ['"rate";r=6', '"rate";r=5']
    assert left[0]["ratelimit-policy"] == '"rate";q=30;w=60'


def test_a_chat_completion_tells_its_callers_rate(router: Router, worker: None) -> None:
    reply = router.post("/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]})
    assert (reply.status, "ratelimit" in reply.headers, "ratelimit-policy" in reply.headers) == (200, True, True)


def test_a_response_that_takes_too_long_is_503_and_can_be_fetched_later(router: Router, redis_url: str) -> None:
    reply = response(router, context=LambdaContext(remaining_ms=2_300))
    assert error_of(reply) == (503, "still_running", None)
    assert (reply.headers["retry-after"], reply.headers["x-should-retry"]) == ("1", "true")
    response_id = reply.json["error"]["message"].rpartition("/")[2].removesuffix(".")
    finish_job(redis_url, result=RESULT)
    assert output_text(read(router, response_id)) == "hi"


def test_a_caller_without_a_place_to_wait_stores_nothing(build_router: BuildRouter, db: redis.Redis) -> None:
    router = build_router(ROUTER_CALLER_WAITS_CAP="0")
    reply = response(router)
    assert error_of(reply) == (429, "too_many_held", None)
    assert stored_jobs(db) == 0


def test_a_failed_job_is_a_failed_response(router: Router, redis_url: str) -> None:
    response_id = queued(router)
    finish_job(redis_url, error={"code": "context_too_long", "message": "Send less."})
    found = read(router, response_id)
    assert found["status"] == "failed"
    assert found["error"] == {"code": "server_error", "message": "context_too_long: Send less."}


def test_cancelling_is_repeatable_and_leaves_a_final_response_alone(router: Router, redis_url: str) -> None:
    response_id = queued(router)
    replies = [router.post(f"/v1/responses/{response_id}/cancel") for _ in range(2)]
    assert [(reply.status, reply.json["status"]) for reply in replies] == [(200, "cancelled")] * 2
    done = queued(router)
    finish_job(redis_url, result=RESULT)
    assert router.post(f"/v1/responses/{done}/cancel").json["status"] == "completed"


@pytest.mark.parametrize("state", ["queued", "at work", "completed", "failed"])
def test_a_deleted_response_leaves_nothing(router: Router, redis_url: str, db: redis.Redis, state: str) -> None:
    response_id = queued(router, "a secret", metadata={"name": "a secret"})
    if state == "at work":
        begin_job(redis_url)
    elif state == "completed":
        finish_job(redis_url, result=RESULT | {"text": "a secret"})
    elif state == "failed":
        finish_job(redis_url, error={"code": "x", "message": "a secret"})
    reply = router.delete(f"/v1/responses/{response_id}")
    assert (reply.status, reply.json) == (200, {"id": response_id, "object": "response", "deleted": True})
    assert error_of(router.get(f"/v1/responses/{response_id}")) == (404, "not_found", None)
    assert router.get(job_of(response_id)).status == 404
    assert router.get("/v1/jobs").json["data"] == []
    assert "a secret" not in every_text(db)
    assert int(db.hget(KEYS.flow, "bytes") or 0) == 0


def test_a_response_that_is_not_stored_is_read_once(router: Router, redis_url: str, db: redis.Redis) -> None:
    response_id = queued(router, "a secret", store=False)
    assert read(router, response_id)["status"] == "queued"
    assert db.pttl(KEYS.job(job_of(response_id).removeprefix("/v1/jobs/"))) <= (300 + 600) * 1000
    finish_job(redis_url, result=RESULT)
    assert output_text(read(router, response_id)) == "hi"
    assert error_of(router.get(f"/v1/responses/{response_id}")) == (404, "not_found", None)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")],
    ids=["read", "delete", "cancel", "input"],
)
def test_somebody_elses_response_is_404_like_one_that_never_was(
    router: Router, bob: Router, method: str, path: str
) -> None:
    response_id = queued(router)
    foreign = bob.call(method, f"/v1/responses/{response_id}{path}")
    unknown = bob.call(method, f"/v1/responses/resp_{'0' * 32}{path}")
    assert error_of(foreign) == error_of(unknown) == (404, "not_found", None)
    assert read(router, response_id)["status"] == "queued"


def test_a_job_of_another_api_is_no_response(router: Router, generate: dict[str, Any]) -> None:
    job_id = router.post("/v1/jobs", generate).json["id"]
    response_id = job_id.replace("job_", "resp_")
    replies = [
        router.get(f"/v1/responses/{response_id}"),
        router.post(f"/v1/responses/{response_id}/cancel"),
        router.delete(f"/v1/responses/{response_id}"),
        router.get(f"/v1/responses/{job_id}"),
    ]
    assert [reply.status for reply in replies] == [404] * 4
    assert router.get(f"/v1/jobs/{job_id}").json["status"] == "queued"


def test_the_input_can_be_read_page_by_page(router: Router) -> None:
    given = [{"role": "user", "content": str(place)} for place in range(5)]
    response_id = queued(router, given)

    def page(**query: str) -> dict[str, Any]:
        query_lists = {name: [value] for name, value in query.items()}
        found: dict[str, Any] = router.get(f"/v1/responses/{response_id}/input_items", query=query_lists).json
        return found

    def texts(found: dict[str, Any]) -> list[str]:
        return [item["content"][0]["text"] for item in found["data"]]

    newest = page(limit="2")
    assert (texts(newest), newest["has_more"]) == (["4", "3"], True)
    assert texts(page(limit="3", after=newest["last_id"])) == ["2", "1", "0"]
    assert texts(page(order="asc")) == ["0", "1", "2", "3", "4"]


def test_head_does_not_use_up_a_response_that_is_not_stored(router: Router, redis_url: str) -> None:
    response_id = queued(router, store=False)
    finish_job(redis_url, result=RESULT)
    assert router.call("HEAD", f"/v1/responses/{response_id}").status == 200
    assert output_text(read(router, response_id)) == "hi"


def test_a_background_response_and_its_reading_are_one_command_each(router: Router, db: redis.Redis) -> None:
    response_id = queued(router)
    assert commands(db, lambda: queued(router)) == ["EVALSHA"]
    assert commands(db, lambda: read(router, response_id)) == ["EVALSHA"]


def test_what_was_asked_for_is_shown_again(router: Router) -> None:
    schema = {"type": "json_schema", "name": "city", "schema": {"type": "object"}, "strict": True}
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}
    given = {"text": {"format": schema}, "tools": [tool], "tool_choice": "required", "temperature": 0.5, "user": "u"}
    found = read(router, queued(router, **given))
    assert found["text"]["format"] == schema
    assert found["tools"] == [tool | {"description": None}]
    assert [found[name] for name in ("tool_choice", "temperature", "user")] == ["required", 0.5, "u"]


def test_a_later_completion_window_is_low_priority_and_a_longer_wait(router: Router, db: redis.Redis) -> None:
    response_id = queued(router, background_options={"completion_window": "2h"})
    job = router.get(job_of(response_id)).json
    assert job["priority"] == "low"
    record = db.hgetall(KEYS.job(job["id"]))
    assert int(record["deadline_at"]) - int(record["created_at"]) == 2 * 3600 * 1000


def test_an_input_whose_items_share_an_id_can_be_read_to_its_end(router: Router) -> None:
    """Some clients give every item the same id. The next page would begin after the first of them, for ever."""
    same = [{"role": "user", "content": str(place), "id": "__fake_id__"} for place in range(3)]
    response_id = queued(router, same)

    texts, after = [], ""
    for _ in same:
        query = {"limit": ["1"], "order": ["asc"]} | ({"after": [after]} if after else {})
        page = router.get(f"/v1/responses/{response_id}/input_items", query=query).json
        texts += [item["content"][0]["text"] for item in page["data"]]
        after = page["last_id"]

    assert texts == ["0", "1", "2"]
    assert not page["has_more"]


@pytest.mark.parametrize("result", ["not JSON", '{"text": NaN}'])
def test_a_result_that_cannot_be_read_is_a_failure(
    router: Router, redis_url: str, db: redis.Redis, result: str
) -> None:
    response_id = queued(router)
    finish_job(redis_url, result="x")
    (record,) = db.scan_iter("*:job:*")
    db.hset(record, "result", result)

    found = read(router, response_id)

    assert (found["status"], found["output"]) == ("failed", [])
    assert found["error"]["message"].startswith("worker_error: ")
