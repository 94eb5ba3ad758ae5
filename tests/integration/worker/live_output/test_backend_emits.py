"""What the shipped backend emits, before servers of every kind."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from lambda_router_worker.backend.openai_backend import OpenAIBackend
from tests.conftest import Router
from tests.integration.conftest import ReadJob, Submit
from tests.integration.worker.live_output.log_reader import calls_of, log_of, text_of
from tests.integration.worker.worker_hand import working
from tests.integration.worker.worker_side import is_final
from tests.model_servers import Call, Script, chunk, completion, model_server
from tests.patience import soon

FACE = "\\ud83d", "\\ude00"  # its halves, as JSON has them


# What the shipped backend emits


def backend_says(redis_url: str, script: Script, done: Callable[[], bool], seconds: float = 10) -> None:
    """Have the jobs processed by the shipped backend, before a server that does so."""

    async def scenario(base_url: str) -> None:
        async with OpenAIBackend(base_url, "tinyllama") as backend, working(redis_url, backend):
            assert await soon(done, seconds)

    with model_server(script) as server:
        asyncio.run(scenario(server.base_url))


def raw_chunks(*contents: str) -> Script:
    """A stream of chunks whose texts are JSON as it stands, halves of characters included."""

    def script(call: Call) -> None:
        call.begin_stream()
        for content in contents:
            document = json.dumps(chunk("CONTENT")).replace('"CONTENT"', f'"{content}"')
            call.piece(f"data: {document}\n\n".encode())
        call.piece(b"data: [DONE]\n\n")
        call.end_stream()

    return script


def call_piece(**members: Any) -> dict[str, Any]:
    return chunk(tool_calls=[members])


def thought(text: str) -> dict[str, Any]:
    return chunk(reasoning_content=text)


def streaming(*documents: Any) -> Script:
    return lambda call: call.stream([*documents, chunk(finish_reason="stop")])


CHAT = {"messages": [{"role": "user", "content": "Why?"}]}
LONG_ARGUMENTS = json.dumps({"text": "ü" * 100_000}, ensure_ascii=False)
TALK: dict[str, Script] = {
    "words": streaming(chunk("Grü"), chunk(""), chunk("ße!")),
    "thoughts": streaming(
        chunk(reasoning_content="Hm"), chunk(reasoning_content="m."), chunk("Yes."), chunk(reasoning_content="?")
    ),
    "halves": raw_chunks("a" + FACE[0], FACE[1] + "b", FACE[0]),
    "calls": streaming(
        call_piece(index=0, id="call_1", function={"name": "weather", "arguments": ""}),
        call_piece(index=0, function={"arguments": '{"city": "K\ud83d'}),
        call_piece(index=1, id="call_2", function={"name": "time", "arguments": "{}"}),
        call_piece(index=0, function={"arguments": '\ude00"}'}),
    ),
    "calls and words": streaming(
        chunk("Wait."),
        call_piece(index=0, id="call_1", function={"name": "weather", "arguments": "{}"}),
        chunk("Done."),
    ),
    "all at once": lambda call: call.answer(200, completion("x" * 100_000, reasoning_content="y" * 100_000)),
    "a long call at once": lambda call: call.answer(
        200,
        completion(
            None,
            tool_calls=[
                {"id": "call_1", "type": "function", "function": {"name": "write", "arguments": LONG_ARGUMENTS}}
            ],
        ),
    ),
}


@pytest.mark.parametrize("script", TALK.values(), ids=TALK.keys())
def test_the_deltas_of_the_backend_together_are_its_result(
    redis_url: str, router: Router, read: ReadJob, db: "redis.Redis", script: Script
):
    job_id = router.post("/v1/jobs", {"type": "chat", "input": CHAT}).json["id"]
    backend_says(redis_url, script, is_final(read, job_id))
    job = read(job_id)
    assert job["status"] == "completed", job["error"]
    message = job["result"]["message"]
    assert text_of(db, job_id) == (message["content"] or "")
    assert text_of(db, job_id, "reasoning") == message.get("reasoning_content", "")
    assert calls_of(db, job_id) == message.get("tool_calls", [])


def test_a_server_that_breaks_in_the_middle_leaves_a_mark_and_then_the_whole_text(
    redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis"
):
    def script(call: Call) -> None:
        call.begin_stream()
        call.piece(b'data: {"choices": [{"index": 0, "delta": {"content": "Hal"}}]}\n\n')
        assert eventually_there()
        call.reset() if len(server_calls) == 1 else call.end_stream()

    server_calls: list[Call] = []

    def eventually_there() -> bool:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and text_of(db, job_id) != "Hal":
            time.sleep(0.01)
        return text_of(db, job_id) == "Hal"

    def counted(call: Call) -> None:
        server_calls.append(call)
        script(call)

    job_id = submit()
    backend_says(redis_url, counted, is_final(read, job_id))
    assert read(job_id)["result"]["text"] == "Hal"
    assert [shown for _, shown in log_of(db, job_id)] == ["restarted", {"text": "Hal"}, "end"]
