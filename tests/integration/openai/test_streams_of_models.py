"""Streams of what model servers send: from the server's chunks through worker and queue to the caller's events."""

from typing import Any

import pytest

from lambda_router_worker.backend.openai_backend import OpenAIBackend
from lambda_router_worker.job import Job
from tests.conftest import Router
from tests.integration.openai.openai_calls import answering, read, response
from tests.integration.openai.streaming import StreamingContext, events
from tests.model_servers import GREETING, USAGE_CHUNK, chunk, model_server


def called(index: int, arguments: str, **function: str) -> dict[str, Any]:
    """A chunk with a piece of a call."""
    begins = {"id": f"call_{index}", "type": "function"} if function else {}
    return chunk(tool_calls=[{"index": index, "function": {"arguments": arguments} | function} | begins])


END = [chunk(finish_reason="tool_calls"), USAGE_CHUNK]
#: Chunks of a server, and what the caller reads of thought, text and arguments while they come.
SERVERS: dict[str, tuple[list[Any], tuple[str, str, str]]] = {
    "text": (GREETING, ("", "Grüße!", "")),
    "a thought": ([chunk(reasoning_content="Hm"), chunk(reasoning_content="m."), *GREETING], ("Hmm.", "Grüße!", "")),
    "two calls": ([called(0, "", name="f"), called(0, "{}"), called(1, '{"a":', name="g"), called(1, "1}"), *END],
                  ("", "", '{}{"a":1}')),
    "text round a call": ([chunk("See."), called(0, "{}", name="f"), chunk("\n"), *END], ("", "See.\n", "{}")),
    "half characters": ([chunk("\ud83d"), chunk("\ude00!"), *END], ("", "😀!", "")),
    "nothing": (END, ("", "", "")),
}  # fmt: skip


@pytest.mark.parametrize(("chunks", "wanted"), SERVERS.values(), ids=SERVERS)
def test_a_stream_has_what_the_model_server_sent(
    router: Router, redis_url: str, chunks: list[Any], wanted: tuple[str, str, str]
) -> None:
    with model_server(lambda call: call.stream(chunks)) as server:

        async def complete(job: Job) -> Any:
            async with OpenAIBackend(server.base_url, "tinyllama") as backend:
                return await backend(job)

        with answering(redis_url, complete):
            found = events(response(router, stream=True, context=StreamingContext()))
    deltas = dict.fromkeys(("reasoning_text", "output_text", "function_call_arguments"), "")
    for each in found:
        if each["type"].endswith(".delta"):
            deltas[each["type"].split(".")[1]] += each["delta"]
    assert tuple(deltas.values()) == wanted
    assert found[-1]["type"] == "response.completed"
    assert found[-1]["response"] == read(router, found[0]["response"]["id"])
