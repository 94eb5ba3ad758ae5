"""``stream: true``: events while a worker emits, in an environment that sends a body piece by piece."""

import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
import redis

from chalicelib.errors import QueueUnavailable
from chalicelib.wiring import Services
from tests.conftest import LambdaContext, Reply, Router
from tests.integration.conftest import BuildRouter, Lines
from tests.integration.in_redis import KEYS, stored_jobs
from tests.integration.openai.openai_calls import MODEL, error_of, output_text, queued, read, response
from tests.integration.openai.streaming import StreamingContext, broken_off, emitted, events, live, pieces, types
from tests.integration.worker.worker_hand import begin_job, finish_job

RESULT = {
    "text": "hi there",
    "finish_reason": "stop",
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    "message": {"role": "assistant", "content": "hi there"},
}
DELTAS = emitted({"text": "hi"}, {"text": " there"})
WHOLE = [
    "response.created",
    "response.queued",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


def stream(router: Router, **members: Any) -> Reply:
    return response(router, context=StreamingContext(), stream=True, **members)


def chat(router: Router, context: LambdaContext | None = None, **members: Any) -> Reply:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]} | members
    return router.post("/v1/chat/completions", body, context=context or StreamingContext())


def resume(router: Router, response_id: str, **query: str) -> Reply:
    given = {name: [value] for name, value in ({"stream": "true"} | query).items()}
    return router.get(f"/v1/responses/{response_id}", query=given, context=StreamingContext())


def places(db: redis.Redis) -> int:
    return int(db.zcard(f"{KEYS.streams_held}"))


def test_a_stream_begins_before_a_worker_has_the_job(router: Router, services: Services, redis_url: str) -> None:
    sent: list[bytes] = []
    seen: list[int] = []
    steps = [lambda: seen.append(len(sent)), None, lambda: finish_job(redis_url, result=RESULT)]
    with live(services, steps):
        body: Any = stream(router).body
        with closing(body):
            for piece in body:
                sent.append(piece)
    assert seen == [2]
    assert sent[0].startswith(b'event: response.created\ndata: {"type":"response.created","sequence_number":0,')


def test_a_stream_has_all_events_and_the_final_response(router: Router, services: Services, redis_url: str) -> None:
    with live(services, [*DELTAS, lambda: finish_job(redis_url, result=RESULT)]):
        found = events(stream(router, instructions="be brief"))
    assert types(found) == WHOLE
    assert [event["sequence_number"] for event in found] == list(range(len(WHOLE)))
    assert found[-1]["response"] == read(router, found[0]["response"]["id"])
    assert (found[-1]["response"]["instructions"], output_text(found[-1]["response"])) == ("be brief", "hi there")


def test_no_cache_keeps_a_stream_and_its_headers_say_what_it_is(
    router: Router, services: Services, redis_url: str
) -> None:
    with live(services, [lambda: finish_job(redis_url, result=RESULT)]):
        reply = stream(router, headers={"Accept": "text/event-stream"})
        pieces(reply)
    named = ("content-type", "cache-control", "x-content-type-options")
    assert [reply.headers[name] for name in named] == ["text/event-stream", "no-store", "nosniff"]
    assert "x-request-id" in reply.headers


def test_a_chat_is_streamed_in_chunks(router: Router, services: Services, redis_url: str) -> None:
    with live(services, [*DELTAS, lambda: finish_job(redis_url, result=RESULT)]):
        found = events(chat(router, stream=True, stream_options={"include_usage": True}))
    deltas = [choice["delta"] for chunk in found for choice in chunk["choices"]]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content", "") for delta in deltas) == "hi there"
    assert found[-1]["usage"]["total_tokens"] == 3


def test_a_failed_job_ends_its_stream(router: Router, services: Services, redis_url: str) -> None:
    def fail() -> None:
        finish_job(redis_url, error={"code": "context_too_long", "message": "Send less."})

    with live(services, [fail]):
        found = events(stream(router))
        (_, chunk) = broken_off(chat(router, stream=True))
    assert types(found) == [*WHOLE[:3], "response.failed"]
    assert found[-1]["response"]["error"]["message"] == "context_too_long: Send less."
    assert chunk["error"] == {
        "message": "context_too_long: Send less.",
        "type": "server_error",
        "param": None,
        "code": "context_too_long",
    }


def test_a_cancelled_response_ends_its_stream(router: Router, services: Services, db: redis.Redis) -> None:
    def cancel() -> None:
        (key,) = db.scan_iter("*:job:*")
        router.post(f"/v1/responses/resp_{key.rpartition('job_')[2]}/cancel")

    with live(services, [cancel]):
        found = events(stream(router))
    assert types(found) == [*WHOLE[:2], "response.failed"]
    assert found[-1]["response"]["status"] == "cancelled"


def test_a_job_that_a_worker_has_started_is_in_progress_before_it_emits(
    router: Router, services: Services, redis_url: str
) -> None:
    with live(services, [lambda: begin_job(redis_url), None], is_final=False):
        found = broken_off(stream(router))
    assert types(found) == [*WHOLE[:3], "error"]


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (QueueUnavailable("Redis is away."), "queue_unavailable"),
        (emitted({"text": "x"}, None)[1], "restarted"),
        (None, "not_found"),
    ],
    ids=["no Redis", "another attempt", "deleted"],
)
def test_a_stream_that_ends_early_says_so(
    router: Router, services: Services, log_lines: Lines, end: Any, code: str
) -> None:
    with live(services, [DELTAS[0], end], is_final=False):
        found = broken_off(stream(router))
        chunks = broken_off(chat(router, stream=True))
    assert (types(found)[-1], found[-1]["code"], found[-1]["error"]["code"]) == ("error", code, code)
    assert found[-1]["sequence_number"] == len(found) - 1
    assert chunks[-1]["error"]["code"] == code
    logged = [line["code"] for line in log_lines() if line["message"] == "stream_broken_off"]
    assert logged == ([] if code == "not_found" else [code] * 2)


def test_a_stream_whose_time_is_up_says_so_and_the_job_goes_on(router: Router, services: Services) -> None:
    with live(services, [DELTAS[0]], is_final=False):
        found = broken_off(response(router, context=StreamingContext(remaining_ms=3_000), stream=True))
    response_id = found[0]["response"]["id"]
    assert found[-1]["code"] == "still_running"
    assert found[-1]["message"].endswith(f"GET /v1/responses/{response_id}")
    assert read(router, response_id)["status"] == "queued"


def test_what_nobody_foresaw_breaks_a_stream_off_and_is_logged(
    router: Router, services: Services, log_lines: Lines
) -> None:
    with live(services, [ZeroDivisionError()]):
        reply = stream(router)
        with pytest.raises(ZeroDivisionError):
            pieces(reply)
    assert "unforeseen" in [line["message"] for line in log_lines()]


def test_a_stream_holds_a_place_until_it_is_closed(router: Router, services: Services, db: redis.Redis) -> None:
    with live(services, [None]):
        reply = stream(router)
        assert (places(db), db.zcard(KEYS.waits)) == (1, 0)
        reply.body.close()  # type: ignore[attr-defined]  # a streamed body
        reply.body.close()  # type: ignore[attr-defined]
    assert places(db) == 0
    assert list(reply.body) == []


def test_a_stream_is_sent_and_closed_by_another_thread_than_the_one_that_began_it(
    router: Router, services: Services, redis_url: str, db: redis.Redis
) -> None:
    with live(services, [None, *DELTAS, lambda: finish_job(redis_url, result=RESULT)]):
        reply = stream(router)
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(events, reply).result()
    assert types(found) == WHOLE
    assert places(db) == 0


def test_a_refused_stream_frees_its_place(build_router: BuildRouter, db: redis.Redis) -> None:
    router = build_router(ROUTER_QUEUE_CAP="1")
    queued(router)
    assert error_of(stream(router))[:2] == (503, "queue_full")
    assert places(db) == 0


def test_a_caller_without_a_place_stores_nothing(build_router: BuildRouter, db: redis.Redis) -> None:
    router = build_router(ROUTER_CALLER_WAITS_CAP="0")
    response_id = queued(router)
    for reply in (stream(router), chat(router, stream=True), chat(router), resume(router, response_id)):
        assert error_of(reply) == (429, "too_many_held", None)
    assert stored_jobs(db) == 1


def test_an_environment_that_cannot_stream_refuses_before_anything_is_stored(router: Router, db: redis.Redis) -> None:
    context = LambdaContext()
    for reply in (response(router, stream=True, context=context), chat(router, context, stream=True)):
        assert error_of(reply) == (400, "invalid_value", "stream")
    assert stored_jobs(db) == 0
    reply = router.get(f"/v1/responses/{queued(router)}", query={"stream": ["true"]})
    assert error_of(reply) == (400, "unsupported_parameter", "stream")


@pytest.mark.parametrize("after", range(-1, len(WHOLE) - 1))
def test_a_stream_can_be_read_again_from_any_event(
    router: Router, services: Services, redis_url: str, after: int
) -> None:
    with live(services, DELTAS) as script:
        response_id = queued(router)
        finish_job(redis_url, result=RESULT)
        found = events(resume(router, response_id, **({"starting_after": str(after)} if after >= 0 else {})))
    assert types(found) == WHOLE[after + 1 :]
    assert [event["sequence_number"] for event in found] == list(range(after + 1, len(WHOLE)))
    assert script.followed == [(response_id.replace("resp_", "job_"), "")]


def test_a_response_in_the_background_can_be_streamed_while_it_runs(
    router: Router, services: Services, redis_url: str
) -> None:
    response_id = queued(router)
    with live(services, [DELTAS[0], lambda: finish_job(redis_url, result=RESULT)]):
        assert types(events(resume(router, response_id))) == WHOLE


def test_background_and_stream_go_together(router: Router, services: Services, redis_url: str) -> None:
    with live(services, [*DELTAS, lambda: finish_job(redis_url, result=RESULT)]):
        found = events(stream(router, background=True))
    assert types(found) == WHOLE
    assert found[-1]["response"]["background"]


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ({"starting_after": "10"}, "starting_after", "invalid_value"),
        ({"starting_after": "99"}, "starting_after", "invalid_value"),
        ({"starting_after": "-1"}, "starting_after", "invalid_value"),
        ({"starting_after": "x"}, "starting_after", "invalid_value"),
        ({"include": "reasoning"}, "include", "unsupported_parameter"),
        ({"include_obfuscation": "true"}, "include_obfuscation", "unsupported_parameter"),
        ({"stream": "yes"}, "stream", "invalid_value"),
        ({"stream": "false", "starting_after": "1"}, "starting_after", "invalid_value"),
    ],
    ids=str,
)
def test_a_query_that_cannot_be_met_is_refused_by_name(
    router: Router, services: Services, redis_url: str, db: redis.Redis, query: dict[str, str], param: str, code: str
) -> None:
    response_id = queued(router)
    finish_job(redis_url, result=RESULT)
    with live(services, DELTAS):
        assert error_of(resume(router, response_id, **query)) == (400, code, param)
    assert places(db) == 0


def test_a_stream_whose_log_is_gone_can_be_read_from_its_beginning_only(
    router: Router, services: Services, redis_url: str
) -> None:
    response_id = queued(router)
    finish_job(redis_url, result=RESULT)
    with live(services, []):
        assert error_of(resume(router, response_id, starting_after="3")) == (400, "invalid_value", "starting_after")
        assert types(events(resume(router, response_id, starting_after="2")))[-1] == "response.completed"


def test_only_the_callers_own_responses_are_streamed(router: Router, services: Services, bob: Router) -> None:
    response_id = queued(router)
    completion = chat(router, LambdaContext(remaining_ms=2_300)).json["error"]["message"].rpartition("job_")[2]
    with live(services, []):
        refused = [
            resume(bob, response_id),
            resume(router, f"resp_{'0' * 32}"),
            resume(router, f"resp_{completion}"),
        ]
    assert [error_of(reply) for reply in refused] == [(404, "not_found", None)] * 3


def test_head_does_not_stream(router: Router, services: Services) -> None:
    response_id = queued(router)
    with live(services, []) as script:
        assert router.call("HEAD", f"/v1/responses/{response_id}", context=StreamingContext()).status == 200
    assert script.followed == []


def test_a_response_that_is_not_stored_is_gone_once_it_was_streamed(
    router: Router, services: Services, redis_url: str
) -> None:
    with live(services, [*DELTAS, lambda: finish_job(redis_url, result=RESULT)]):
        found = events(stream(router, store=False))
    assert output_text(found[-1]["response"]) == "hi there"
    assert error_of(router.get(f"/v1/responses/{found[0]['response']['id']}")) == (404, "not_found", None)


def test_an_answer_that_cannot_be_told_is_not_taken(router: Router, services: Services, redis_url: str) -> None:
    with live(services, [*emitted({"text": "bye"}), lambda: finish_job(redis_url, result=RESULT)]):
        *_, error = broken_off(stream(router, store=False))
    assert error["code"] == "changed"
    _, _, path = error["message"].rpartition("GET ")
    assert output_text(router.get(path).json) == "hi there"

    with live(services, [*emitted({"text": "bye"}), lambda: finish_job(redis_url, result=RESULT)]):
        *_, error = broken_off(chat(router, stream=True, store=False))
    _, _, path = error["error"]["message"].rpartition("GET ")
    assert router.get(path).json["result"] == RESULT


def test_an_answer_that_another_took_first_is_not_told(router: Router, services: Services, redis_url: str) -> None:
    taken: list[Any] = []

    def another_takes_it() -> None:
        (job,) = router.get("/v1/jobs").json["data"]
        finish_job(redis_url, result=RESULT)
        taken.append(router.get(f"/v1/jobs/{job['id']}").json["result"])

    with live(services, [*DELTAS, another_takes_it]):
        *_, error = broken_off(stream(router, store=False))
    assert (error["code"], taken) == ("not_found", [RESULT])


def test_a_number_beyond_the_end_does_not_cost_an_answer_that_is_not_stored(
    router: Router, services: Services, redis_url: str
) -> None:
    response_id = queued(router, store=False)
    finish_job(redis_url, result=RESULT)
    with live(services, DELTAS):
        (last,) = events(resume(router, response_id, starting_after="99"))
    assert output_text(last["response"]) == "hi there"


@pytest.mark.parametrize("again", [{"tries": 1}, {"headers": {"Idempotency-Key": "k"}}], ids=["try", "key"])
def test_a_repeat_streams_the_same_job(
    router: Router, services: Services, redis_url: str, db: redis.Redis, again: dict[str, Any]
) -> None:
    first = again | ({"tries": 0} if "tries" in again else {})
    with live(services, [*DELTAS[:1]], is_final=False):
        begun = broken_off(stream(router, **first))
    finish_job(redis_url, result=RESULT)
    with live(services, DELTAS):
        found = events(stream(router, **again))
    assert types(found) == WHOLE
    assert found[:6] == begun[:6]
    assert len([*db.scan_iter("*:job:*")]) == 1


def test_a_repeat_of_a_stream_whose_answer_is_not_kept_streams_the_answer(
    router: Router, services: Services, redis_url: str, db: redis.Redis
) -> None:
    with live(services, [], is_final=False):
        broken_off(stream(router, store=False, tries=0))
    finish_job(redis_url, result=RESULT)
    with live(services, []) as script:
        found = events(stream(router, store=False, tries=1))
    assert output_text(found[-1]["response"]) == "hi there"
    assert script.followed == []


def test_a_stream_is_given_the_time_that_the_settings_allow(build_router: BuildRouter, db: redis.Redis) -> None:
    router = build_router(ROUTER_STREAM_SECONDS="400")
    reply = stream(router)
    ((_, ends),) = db.zscan_iter(KEYS.streams_held)
    seconds, _ = db.time()
    reply.body.close()  # type: ignore[attr-defined]  # a streamed body
    assert math.isclose(ends / 1000 - seconds, 403, abs_tol=20)


@pytest.mark.parametrize("options", [{"include_obfuscation": False}, {"include_obfuscation": None}, {}], ids=str)
def test_options_that_change_nothing_are_accepted(
    router: Router, services: Services, redis_url: str, options: dict[str, Any]
) -> None:
    with live(services, [lambda: finish_job(redis_url, result=RESULT)]):
        assert types(events(stream(router, stream_options=options)))[-1] == "response.completed"
