"""A demonstration handler for ``make run``. It responds at once, without a model."""

from typing import Any

from lambda_router_queue.models import Envelope
from lambda_router_worker.outcomes import UnsupportedType


def answer(job: Envelope) -> dict[str, Any]:
    """Return the prompt, or the last message, in upper case."""
    if job.type not in {"generate", "chat"}:
        raise UnsupportedType("The demonstration processes jobs of the types generate and chat.")
    said: Any = job.input["prompt"] if job.type == "generate" else job.input["messages"]
    text = said if isinstance(said, str) else said[-1]["content"]
    words = len(text.split())
    return {
        "text": text.upper(),
        "finish_reason": "stop",
        "model": "demonstration",
        "usage": {"prompt_tokens": words, "completion_tokens": words, "total_tokens": 2 * words},
    }
