"""What the tests of the OpenAI API share: requests as its clients send them, and a worker that answers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chalicelib.openai.response_object import job_id_of
from lambda_router_queue.models import Envelope
from tests.conftest import Reply, Router
from tests.integration.worker.worker_hand import working

MODEL = "tinyllama"


def response(router: Router, words: Any = "hello", *, tries: int | None = None, **members: Any) -> Reply:
    """Create a response; ``tries`` is what OpenAI's clients count."""
    headers: dict[str, str | list[str]] = {} if tries is None else {"x-stainless-retry-count": str(tries)}
    headers |= members.pop("headers", {})
    context = members.pop("context", None)
    return router.post("/v1/responses", {"model": MODEL, "input": words} | members, headers=headers, context=context)


def queued(router: Router, words: Any = "hello", **members: Any) -> str:
    """Create a response in the background; its id."""
    reply = response(router, words, background=True, **members)
    assert reply.status == 200, reply.body
    response_id: str = reply.json["id"]
    return response_id


def read(router: Router, response_id: str) -> dict[str, Any]:
    reply = router.get(f"/v1/responses/{response_id}")
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json
    return found


def output_text(document: dict[str, Any]) -> str:
    parts = [part for item in document["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part["text"] for part in parts)


def job_of(response_id: str) -> str:
    return f"/v1/jobs/{job_id_of(response_id)}"


def error_of(reply: Reply) -> tuple[int, str | None, str | None]:
    """Status, code and member of an error, which has all four members of OpenAI's."""
    error = reply.json["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert reply.headers["content-type"] == "application/json"
    return reply.status, error["code"], error["param"]


async def shout(job: Envelope) -> Any:
    """Answer with the roles and the texts of the chat, in capitals."""
    messages: Any = job.input["messages"]
    text = " ".join(str(message.get("content")) for message in messages).upper()
    usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    message = {"role": "assistant", "content": text}
    return {"text": text, "finish_reason": "stop", "model": "m", "usage": usage, "message": message}


@contextmanager
def answering(redis_url: str, handler: Any = shout) -> Iterator[None]:
    """Run a worker beside the test."""
    import asyncio

    done = threading.Event()

    async def work() -> None:
        async with working(redis_url, handler, 4):
            while not done.is_set():
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
