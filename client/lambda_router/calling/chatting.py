"""One question to a model: stored as a job first, so that its id is known before anything can go wrong, then read.

Whatever ends the reading, the job can be fetched or cancelled by that id, and reading on is the same as reading.
"""

import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lambda_router.calling.answer import Answer
from lambda_router.calling.api import Api
from lambda_router.calling.job_ids import response_of
from lambda_router.calling.polled import PolledAnswer
from lambda_router.calling.refusals import CallRefused
from lambda_router.calling.steps import Anew, Began, Ended, Thought, Words
from lambda_router.calling.streamed import NotStreamedError, StreamedAnswer
from lambda_router.calling.terminal import StatusLine, is_terminal, one_line, write_text
from lambda_router.calling.waiting import Waiting
from lambda_router.errors import BadServer, KitError, ServerAway
from lambda_router.servers import option_for

INTERRUPTED = 130
Say = Callable[[str], None]


@dataclass(frozen=True)
class Question:
    """What a model is asked."""

    model: str
    text: str
    system: str | None = None

    def body(self) -> dict[str, Any]:
        """Return the request. ``background`` returns at once, wherever the server runs."""
        instructions = {} if self.system is None else {"instructions": self.system}
        return {"model": self.model, "input": self.text, "background": True, **instructions}


def ask(api: Api, question: Question, say: Say) -> str:
    """Store the job and return its id. A lost answer is overcome, since a key makes the repeat harmless.

    Raises:
        KeyboardInterrupt: what may have been stored is cancelled.
        KitError: nothing was stored, as far as one can know.
    """
    key = str(uuid.uuid4())
    try:
        try:
            return _stored(api, question, key)
        except ServerAway:
            return _stored(api, question, key)
        except CallRefused as error:
            if error.status not in {502, 503, 504} or error.retry_after is not None:
                raise
            return _stored(api, question, key)
    except KeyboardInterrupt:
        say("Cancelling. Ctrl-C again leaves at once.")
        _cancel_unseen(api, question, key, say)
        raise


def _cancel_unseen(api: Api, question: Question, key: str, say: Say) -> None:
    """Cancel a job whose id never came. The repeat finds it by its key, or stores what is cancelled at once."""
    try:
        job_id = _stored(api, question, key)
    except KitError as error:
        say(f"If the job was stored, it goes on: {error}")
    else:
        cancel(api, job_id, say)


def _stored(api: Api, question: Question, key: str) -> str:
    reply = api.call("POST", "/v1/responses", json=question.body(), headers={"Idempotency-Key": key})
    found = reply.document.get("id")
    digits = found.removeprefix("resp_") if isinstance(found, str) else ""
    if len(digits) != 32 or not set(digits) <= set("0123456789abcdef"):
        raise BadServer(f"{api.server.url} stored a response without an id: is it a Lambda Router?")
    return f"job_{digits}"


def cancel(api: Api, job_id: str, say: Say) -> None:
    """Cancel a job, and say what became of it. Raises no KitError: it says that, too."""
    try:
        status = api.call("DELETE", f"/v1/jobs/{job_id}").document.get("status")
    except KitError as error:
        say(f"{job_id} was not cancelled, and goes on: {error}")
        return
    say(f"{job_id} is cancelled." if status == "cancelled" else f"{job_id} was {one_line(status, 20)} already.")


class Chat:
    """Reads the answer to one question.

    Args:
        say: writes a line to standard error.
        is_silent: nothing is written before the end, for ``--json``.
    """

    def __init__(self, api: Api, job_id: str, say: Say, *, is_silent: bool = False) -> None:
        self._api = api
        self._job_id = job_id
        self._say = say
        self._line = StatusLine()
        self._waiting = Waiting(api, job_id, self._line)
        begin_over = self._begin_over if is_silent or is_terminal(sys.stdout) else None
        write: Say = _write_nothing if is_silent else self._write
        self._answer = Answer(write, begin_over, f"lambda-router show{option_for(api.server)} --text {job_id}")
        self._is_silent = is_silent

    def read(self) -> Ended:
        """Write the words as they come, and return the job's end.

        Raises:
            KitError: the answer cannot be read, or contradicts what was written.
            BrokenPipeError: nobody reads standard output any more.
        """
        with self._waiting:
            ended = self._ended()
            self._answer.end(ended.text)
        self._answer.end_line()
        return ended

    def _ended(self) -> Ended:
        try:
            return self._follow(StreamedAnswer(self._api, self._job_id))
        except NotStreamedError:
            self._answer.anew()
            return self._follow(PolledAnswer(self._api, self._job_id))

    def _follow(self, source: StreamedAnswer | PolledAnswer) -> Ended:
        for step in source.read():
            if isinstance(step, Ended):
                return step
            self._take(step)
        raise BadServer("the answer has no end")  # neither source stops without one

    def _take(self, step: Began | Thought | Words | Anew) -> None:
        if not isinstance(step, Anew):
            self._waiting.started()
        if isinstance(step, Thought) and not self._answer.written:
            self._line.show("thinking")
        elif isinstance(step, Words):
            self._answer.add(step.text)
        elif isinstance(step, Anew):
            self._answer.anew()

    def _write(self, text: str) -> None:
        self._line.clear()
        write_text(text)

    def _begin_over(self) -> None:
        if not self._is_silent:
            self._answer.end_line()
            self._say("The words above are void: the job was tried again. Its answer:")


def _write_nothing(text: str) -> None:
    """Write nothing: the answer comes as JSON."""


def response(api: Api, job_id: str) -> dict[str, Any]:
    """Return a job as a response of the OpenAI API. Raises KitError."""
    return api.call("GET", f"/v1/responses/{response_of(job_id)}").document


def only_model(api: Api) -> str:
    """Return the server's model if there is one only.

    Raises:
        KitError: there are several, which it lists, or none.
    """
    found = api.call("GET", "/v1/models").document.get("data")
    rows = found if isinstance(found, list) else []
    names = [row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
    if len(names) == 1:
        return str(names[0])
    shown = ", ".join(one_line(name, 64) for name in sorted(names)[:50])
    raise KitError(f"name a model with -m; there are {shown}" if names else "the server has no model")
