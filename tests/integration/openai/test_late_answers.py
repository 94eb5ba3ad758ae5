"""Held answers that come late, where a body can be sent piece by piece: white space first, then the answer."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import redis
from chalice.app import Request

from chalicelib.api.openai.answers import Door
from chalicelib.callers.auth import Principal
from chalicelib.errors import NotFound, Problem, StillRunning
from chalicelib.observability import begin_notes
from chalicelib.wiring import Services
from tests.conftest import Router, gateway_event
from tests.integration.in_redis import KEYS
from tests.integration.openai.openai_calls import MODEL, output_text
from tests.integration.openai.streaming import StreamingContext
from tests.integration.worker.worker_hand import finish_job

RESULT = {"text": "hi", "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}


class Late(NamedTuple):
    """A response whose silent time is over."""

    reply: Any

    def begun(self) -> Iterator[bytes]:
        """The pieces behind the first one, which keeps the line open."""
        assert self.reply.status_code == 200
        assert self.reply.headers["Content-Type"] == "application/json"
        pieces = iter(self.reply.body)
        assert next(pieces) == b"\n"
        return pieces


@pytest.fixture
def create(router: Router, services: Services) -> Callable[..., Late]:
    """Ask the door itself, so that its silent time can be short."""

    def ask(path: str, body: dict[str, Any], remaining_ms: int = 900_000, silent_seconds: float = 0.0) -> Late:
        headers: dict[str, str | list[str]] = {"content-type": "application/json"}
        request = Request(gateway_event("POST", path, body, headers), StreamingContext(remaining_ms=remaining_ms))
        begin_notes()
        token = f"Bearer {router.token}"
        principal: Principal = services.verifier.authenticate([token])
        door = Door(services, principal, request, silent_seconds)
        return Late(door.create_response() if "responses" in path else door.create_completion())

    return ask


def test_a_late_response_is_json_behind_white_space(
    create: Callable[..., Late], redis_url: str, db: redis.Redis
) -> None:
    late = create("/v1/responses", {"model": MODEL, "input": "hello"})
    pieces = late.begun()
    assert db.zcard(KEYS.streams_held) == 1
    finish_job(redis_url, result=RESULT)
    assert output_text(json.loads(b"\n" + b"".join(pieces))) == "hi"
    late.reply.body.close()
    assert db.zcard(KEYS.streams_held) == 0


def test_a_late_response_that_failed_says_so(create: Callable[..., Late], redis_url: str) -> None:
    pieces = create("/v1/responses", {"model": MODEL, "input": "hello"}).begun()
    finish_job(redis_url, error={"code": "x", "message": "No."})
    assert json.loads(b"".join(pieces))["status"] == "failed"


def test_a_response_whose_time_is_up_is_returned_as_it_stands(create: Callable[..., Late]) -> None:
    pieces = create("/v1/responses", {"model": MODEL, "input": "hello"}, remaining_ms=2_500).begun()
    assert json.loads(b"".join(pieces))["status"] == "queued"


def test_a_late_chat_is_json_too_and_breaks_off_if_it_failed(create: Callable[..., Late], redis_url: str) -> None:
    pieces = create("/v1/chat/completions", CHAT).begun()
    finish_job(redis_url, result=RESULT)
    assert json.loads(b"".join(pieces))["choices"][0]["message"]["content"] == "hi"
    pieces = create("/v1/chat/completions", CHAT).begun()
    finish_job(redis_url, error={"code": "x", "message": "No."})
    with pytest.raises(Problem):
        next(pieces)


def test_an_answer_that_is_not_kept_and_was_read_by_another_breaks_off(
    create: Callable[..., Late], router: Router, redis_url: str, db: redis.Redis
) -> None:
    pieces = create("/v1/responses", {"model": MODEL, "input": "hello", "store": False}).begun()
    (key,) = db.scan_iter("*:job:*")
    finish_job(redis_url, result=RESULT)
    assert router.get(f"/v1/jobs/{key.rpartition(':')[2]}").json["result"] == RESULT
    with pytest.raises(NotFound):
        next(pieces)


def test_an_answer_in_time_is_whole(create: Callable[..., Late], redis_url: str) -> None:
    timer = threading.Timer(0.2, finish_job, (redis_url,), {"result": RESULT})
    timer.start()
    reply = create("/v1/responses", {"model": MODEL, "input": "hello"}, silent_seconds=25.0).reply
    timer.join()
    assert output_text(json.loads(reply.body)) == "hi"


def test_a_function_about_to_time_out_says_that_it_still_runs(create: Callable[..., Late]) -> None:
    with pytest.raises(StillRunning):
        create("/v1/responses", {"model": MODEL, "input": "hello"}, remaining_ms=2_300, silent_seconds=25.0)
