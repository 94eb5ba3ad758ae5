"""Work for any server that speaks OpenAI's chat completions: vLLM, llama.cpp, Ollama and others."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import JsonValue

from chalicelib.models import Envelope
from worker.outcomes import JobFailed, TryAgain

CONNECT_TIMEOUT_SECONDS = 5.0
#: A long answer from a small GPU takes minutes, and nothing arrives before its end.
READ_TIMEOUT_SECONDS = 600.0

#: Statuses that say "not now" rather than "no".
_BUSY = frozenset({408, 425, 429})

#: What of a job's input the server takes under the same name.
_SAMPLING = ("max_tokens", "temperature", "top_p", "stop", "seed")


class OpenAIBackend:
    """A handler that sends each job to ``<base_url>/chat/completions``.

    Args:
        base_url: ends in ``/v1`` on every server named above.
        model: the model's name as that server knows it.
    """

    def __init__(self, base_url: str, model: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._model = model
        self._client = httpx.AsyncClient(
            base_url=base_url.rstrip("/") + "/",
            timeout=httpx.Timeout(READ_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS),
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def __call__(self, job: Envelope) -> JsonValue:
        """The server's answer: ``text``, ``finish_reason``, ``model``, ``usage``.

        Raises:
            TryAgain: the server cannot be reached, is busy (408, 425, 429) or broken (5xx); ``Retry-After`` is kept.
            JobFailed: the server refuses the job, or answers with something that is no chat completion.
        """
        try:
            response = await self._client.post(
                "chat/completions", json=self._request(job), headers={"traceparent": job.traceparent}
            )
        except httpx.DecodingError as error:
            raise JobFailed("backend_nonsense", "The model server's answer is not a chat completion.") from error
        except httpx.TransportError as error:
            raise TryAgain("backend_unreachable", "The model server could not be reached.") from error
        if response.is_success:
            return _result(response)
        status = response.status_code
        if status in _BUSY or response.is_server_error:
            raise TryAgain("backend_busy", f"The model server answered with status {status}.", _retry_after(response))
        raise JobFailed("backend_refused", f"The model server refused the job with status {status}.")

    def _request(self, job: Envelope) -> dict[str, Any]:
        sampling = {name: job.input[name] for name in _SAMPLING if name in job.input}
        return {"model": self._model, "messages": _messages(job), "stream": False} | sampling


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the server asks to be left alone: a number or an HTTP date (RFC 9110 section 10.2.3); else 0."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _messages(job: Envelope) -> Any:
    if "messages" in job.input:
        return job.input["messages"]
    system = [{"role": "system", "content": job.input["system"]}] if "system" in job.input else []
    return [*system, {"role": "user", "content": job.input.get("prompt", "")}]


def _result(response: httpx.Response) -> JsonValue:
    try:
        answer = response.json()
        choice = answer["choices"][0]
        return {
            "text": choice["message"]["content"],
            "finish_reason": choice.get("finish_reason"),
            "model": answer.get("model"),
            "usage": answer.get("usage"),
        }
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise JobFailed("backend_nonsense", "The model server's answer is not a chat completion.") from error
