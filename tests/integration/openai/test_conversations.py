"""``previous_response_id``: what was said before goes to the model again."""

from typing import Any

import pytest
import redis

from tests.conftest import Router
from tests.integration.conftest import BuildRouter
from tests.integration.http.test_frugality import commands
from tests.integration.in_redis import KEYS
from tests.integration.openai.openai_calls import answering, error_of, job_of, output_text, queued, read, response
from tests.integration.worker.worker_hand import finish_job

NOT_FOUND = (400, "previous_response_not_found", "previous_response_id")


def turn(router: Router, text: Any, previous: str | None = None, **members: Any) -> dict[str, Any]:
    reply = response(router, text, previous_response_id=previous, **members)
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json
    return found


def test_the_model_gets_the_whole_conversation_but_earlier_instructions(router: Router, worker: None) -> None:
    first = turn(router, "one", instructions="old")
    second = turn(router, "two", first["id"])
    third = turn(router, "three", second["id"], instructions="new")
    assert output_text(second) == "ONE OLD ONE TWO"
    assert output_text(third) == "NEW ONE OLD ONE TWO ONE OLD ONE TWO THREE"
    assert third["previous_response_id"] == second["id"]


def test_calls_and_their_outputs_go_back_to_the_model(router: Router, redis_url: str) -> None:
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
    first = queued(router, "rain?", tools=[tool])
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    finish_job(redis_url, result={"text": "", "finish_reason": "tool_calls", "message": message})
    (item,) = read(router, first)["output"]
    assert (item["type"], item["call_id"], item["name"]) == ("function_call", "call_1", "weather")
    seen: list[Any] = []

    async def remember(job: Any) -> Any:
        seen.extend(job.input["messages"])
        return {"text": "ok", "message": {"role": "assistant", "content": "ok"}}

    with answering(redis_url, remember):
        turn(router, [{"type": "function_call_output", "call_id": "call_1", "output": "yes"}], first, tools=[tool])
    assert [each["role"] for each in seen] == ["user", "assistant", "tool"]
    assert seen[1]["tool_calls"] == [call]


def test_a_conversation_may_change_its_model(build_router: BuildRouter, redis_url: str, worker: None) -> None:
    router = build_router(ROUTER_MODELS="tinyllama,other=tinyllama")
    first = turn(router, "one")
    assert output_text(turn(router, "two", first["id"], model="other")) == "ONE ONE TWO"


def test_a_conversation_may_change_its_queue(build_router: BuildRouter, redis_url: str, worker: None) -> None:
    router = build_router(ROUTER_MODELS="tinyllama,other=second")
    first = turn(router, "one")
    second = turn(router, "two", first["id"])
    other = queued(router, "three", previous_response_id=second["id"], model="other")
    assert router.get(job_of(other)).json["queue"] == "second"


@pytest.mark.parametrize("which", ["parent", "ancestor"])
@pytest.mark.parametrize("how", ["deleted", "expired"])
def test_a_conversation_with_a_response_that_is_gone_cannot_go_on(
    router: Router, worker: None, db: redis.Redis, which: str, how: str
) -> None:
    first = turn(router, "one")
    second = turn(router, "two", first["id"])
    gone = {"parent": second, "ancestor": first}[which]["id"]
    if how == "deleted":
        assert router.delete(f"/v1/responses/{gone}").status == 200
    else:
        db.delete(KEYS.job(job_of(gone).removeprefix("/v1/jobs/")))
    assert error_of(response(router, "three", previous_response_id=second["id"])) == NOT_FOUND


def test_a_foreign_unfinished_or_unstored_response_cannot_go_on(
    router: Router, bob: Router, redis_url: str, worker: None
) -> None:
    foreign = turn(bob, "one")["id"]
    unstored = turn(router, "one", store=False)["id"]
    for previous in (foreign, unstored, "resp_x", "", f"resp_{'0' * 32}"):
        assert error_of(response(router, "two", previous_response_id=previous)) == NOT_FOUND


def test_an_unfinished_response_cannot_go_on(router: Router) -> None:
    waiting = queued(router)
    assert error_of(response(router, "two", previous_response_id=waiting)) == NOT_FOUND


def test_a_conversation_is_read_in_one_round_trip_for_its_last_response_and_one_for_those_before(
    router: Router, redis_url: str, db: redis.Redis
) -> None:
    first = queued(router, "one")
    finish_job(redis_url, result="yes")
    second = queued(router, "two", previous_response_id=first)
    finish_job(redis_url, result="yes")

    def go_on(previous: str) -> list[str]:
        return commands(db, lambda: queued(router, "more", previous_response_id=previous))

    assert go_on(first) == ["EVALSHA"] * 2
    assert go_on(second) == ["EVALSHA"] * 3


async def nod(job: Any) -> Any:
    return {"text": "yes", "message": {"role": "assistant", "content": "yes"}}


def test_a_conversation_has_at_most_64_responses_before_the_last(router: Router, redis_url: str) -> None:
    last = None
    with answering(redis_url, nod):
        for _ in range(65):
            last = turn(router, "x", last)["id"]
    refused = error_of(response(router, "x", previous_response_id=last))
    assert refused == (400, "conversation_too_long", "previous_response_id")
