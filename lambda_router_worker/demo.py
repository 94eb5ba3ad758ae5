"""A demonstration handler for ``make run``. It needs no model, and responds at the pace of a fast one."""

import asyncio
import re
from typing import Any

from lambda_router_worker.job import Job
from lambda_router_worker.outcomes import UnsupportedType

#: Pause before each word but the first, and the most of all of them together.
WORD_SECONDS, LONGEST_SECONDS = 0.1, 3.0


async def answer(job: Job) -> dict[str, Any]:
    """Return the prompt, or the last message, in upper case. Emit it word by word."""
    if job.type not in {"generate", "chat"}:
        raise UnsupportedType("The demonstration processes jobs of the types generate and chat.")
    given: Any = job.input
    text = given["prompt"] if job.type == "generate" else _text_of(given["messages"][-1])
    shown = text.upper()
    pieces = re.findall(r"\s*\S+|\s+", shown)
    for place, piece in enumerate(pieces):
        await asyncio.sleep(min(WORD_SECONDS, LONGEST_SECONDS / len(pieces)) if place else 0)
        await job.emit(piece)
    words = len(text.split())
    result = {
        "text": shown,
        "finish_reason": "stop",
        "model": "demonstration",
        "usage": {"prompt_tokens": words, "completion_tokens": words, "total_tokens": 2 * words},
    }
    message = {"role": "assistant", "content": shown}
    return result | ({"message": message} if job.type == "chat" else {})


def _text_of(message: Any) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part["text"] for part in content if "text" in part)
