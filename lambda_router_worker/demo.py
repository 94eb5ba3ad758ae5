"""A demonstration handler for ``make run``. It responds at once, without a model."""

from typing import Any

from lambda_router_queue.models import Envelope
from lambda_router_worker.outcomes import UnsupportedType


def answer(job: Envelope) -> dict[str, Any]:
    """Return the prompt, or the last message, in upper case."""
    if job.type not in {"generate", "chat"}:
        raise UnsupportedType("The demonstration processes jobs of the types generate and chat.")
    given: Any = job.input
    text = given["prompt"] if job.type == "generate" else _text_of(given["messages"][-1])
    words = len(text.split())
    result = {
        "text": text.upper(),
        "finish_reason": "stop",
        "model": "demonstration",
        "usage": {"prompt_tokens": words, "completion_tokens": words, "total_tokens": 2 * words},
    }
    message = {"role": "assistant", "content": text.upper()}
    return result | ({"message": message} if job.type == "chat" else {})


def _text_of(message: Any) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part["text"] for part in content if "text" in part)
