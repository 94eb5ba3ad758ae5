"""Steps of an answer as they are read, whichever way they come."""

from dataclasses import dataclass, field
from typing import Any

FINAL = frozenset({"completed", "incomplete", "failed", "cancelled", "expired"})


@dataclass(frozen=True)
class Began:
    """A worker has started the job."""


@dataclass(frozen=True)
class Thought:
    """The model thinks; its thoughts are no part of the answer."""


@dataclass(frozen=True)
class Words:
    """The next part of the answer."""

    text: str


@dataclass(frozen=True)
class Anew:
    """The answer comes from its beginning again: after a fault, or because another attempt began."""


@dataclass(frozen=True)
class Ended:
    """The job is final.

    Attributes:
        status: one of ``FINAL``.
        text: the whole answer; None if there is none to compare with.
        reason: why it is not complete, empty if it is.
    """

    status: str
    text: str | None = field(repr=False)
    reason: str = ""


Step = Began | Thought | Words | Anew | Ended


def end_of_response(found: object) -> Ended | None:
    """Return the end that a response of ``/v1/responses`` is; None if it is not final, or no response."""
    response = found if isinstance(found, dict) else {}
    status = response.get("status")
    if not isinstance(status, str) or status not in FINAL:
        return None
    is_whole = status in {"completed", "incomplete"}
    reason = _message(response.get("error"))
    if status == "incomplete":
        reason = _named(response.get("incomplete_details"), "reason")
    return Ended(status, output_text(response) if is_whole else None, reason)


def end_of_job(found: object) -> Ended | None:
    """Return the end that a job of ``/v1/jobs`` is; None if it is not final, or no job."""
    job = found if isinstance(found, dict) else {}
    status = job.get("status")
    if not isinstance(status, str) or status not in FINAL:
        return None
    if status == "completed" and _named(job.get("result"), "finish_reason") == "length":
        return Ended("incomplete", result_text(job), "max_output_tokens")
    return Ended(status, result_text(job) if status == "completed" else None, _message(job.get("error")))


def output_text(response: dict[str, Any]) -> str:
    """Return the text of a response, as OpenAI's clients put it together."""
    texts: list[object] = []
    for item in _dicts(response.get("output")):
        if item.get("type") == "message":
            parts = _dicts(item.get("content"))
            texts += [part.get("text") for part in parts if part.get("type") == "output_text"]
    return "".join(text for text in texts if isinstance(text, str))


def result_text(job: dict[str, Any]) -> str | None:
    """Return the text of a job's result; None if there is none."""
    result = job.get("result")
    text = result.get("text") if isinstance(result, dict) else None
    return text if isinstance(text, str) else None


def _message(error: object) -> str:
    """Return what an ``error`` says; a response's message has the job's code in it already."""
    message, code = _named(error, "message"), _named(error, "code")
    return message if not code or code == "server_error" else f"{code}: {message}"


def _named(found: object, name: str) -> str:
    text = found.get(name) if isinstance(found, dict) else None
    return text if isinstance(text, str) else ""


def _dicts(found: object) -> list[dict[str, Any]]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
