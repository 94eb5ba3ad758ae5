"""A chat completion as the chunks of a stream."""

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.errors import JobNotCompleted
from chalicelib.openai.chat_results import BrokenOff, LiveAnswer, Piece, already_read, answer_of, restarted
from chalicelib.openai.completion_object import completion_id_of, completion_usage, reason_of, require_completed
from chalicelib.openai.response_object import call_id_of, is_read, seconds
from lambda_router_queue.models import Job

type Chunk = dict[str, Any]


class CompletionStream:
    """The chunks of one chat completion.

    Args:
        with_usage: whether a chunk without a choice gives the counts of tokens at the end.
    """

    #: No chunk says that a worker has started the job.
    awaits_start = False

    def __init__(self, job: Job, model: str, *, with_usage: bool = False) -> None:
        self._job = job
        self._answer = LiveAnswer()
        self._has_sent = False
        self._with_usage = with_usage
        self._members = {
            "id": completion_id_of(job.id),
            "object": "chat.completion.chunk",
            "created": seconds(job.created_at),
            "model": model,
            "service_tier": "default",
        } | ({"usage": None} if with_usage else {})

    def begin(self) -> Iterator[Chunk]:
        """Yield the chunk that names the role."""
        yield self._chunk({"role": "assistant", "content": "", "refusal": None})

    def started(self) -> Iterator[Chunk]:
        """Yield nothing."""
        yield from ()

    def take(self, delta: Mapping[str, Any] | None) -> Iterator[Chunk]:
        """Yield the chunks of an entry of the log.

        Args:
            delta: None for the mark of another attempt.

        Raises:
            BrokenOff: what was sent is void.
        """
        if delta is None:
            if self._has_sent:
                raise restarted()
            self._answer = LiveAnswer()
            return
        for piece in self._answer.pieces(delta):
            yield self._piece(piece)

    def finish(self, job: Job) -> Iterator[Chunk]:
        """Yield the last chunks.

        Raises:
            BrokenOff: the job failed, or its answer is not what was sent, or is gone.
        """
        try:
            require_completed(job)
        except JobNotCompleted as problem:
            raise BrokenOff(problem.code, problem.detail, fetch=False) from None
        if is_read(job):
            raise already_read()
        answer = answer_of(job.result)
        for piece in self._answer.rest(answer):
            yield self._piece(piece)
        yield self._chunk({}, reason_of(answer))
        if self._with_usage:
            yield self._members | {"choices": [], "usage": completion_usage(answer.usage)}

    def broken(self, off: BrokenOff) -> Chunk:
        """Return the event that ends a stream before its end."""
        fetch = f" Fetch it: GET /v1/jobs/{self._job.id}" if off.fetch else ""
        return {"error": {"message": f"{off.message}{fetch}", "type": "server_error", "param": None, "code": off.code}}

    def _piece(self, piece: Piece) -> Chunk:
        self._has_sent = True
        match piece.kind:
            case "reasoning":
                return self._chunk({"reasoning_content": piece.text})
            case "text":
                return self._chunk({"content": piece.text})
            case "call":
                return self._chunk({"tool_calls": [self._call(piece)]})

    def _call(self, piece: Piece) -> dict[str, Any]:
        if not piece.begins or piece.call is None:
            return {"index": piece.place, "function": {"arguments": piece.text}}
        return {
            "index": piece.place,
            "id": call_id_of(self._job.id, piece.place, piece.call),
            "type": "function",
            "function": {"name": piece.call.name, "arguments": piece.text},
        }

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> Chunk:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return self._members | {"choices": [choice]}
