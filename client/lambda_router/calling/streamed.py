"""An answer read as a stream of ``/v1/responses``, and read on where it breaks off."""

import time
from collections.abc import Iterator
from typing import Any

from lambda_router.calling.api import Api
from lambda_router.calling.faults import FaultCount, broken_off
from lambda_router.calling.job_ids import response_of
from lambda_router.calling.refusals import CallRefused
from lambda_router.calling.steps import Anew, Began, Ended, Step, Thought, Words, end_of_response
from lambda_router.calling.terminal import one_line
from lambda_router.errors import BadServer, ServerAway

#: Codes of ``error`` events after which the stream is simply opened again (docs/openai.md, "Streams that end early").
_ITS_TIME_IS_OVER = "still_running"
_FROM_THE_BEGINNING = "restarted"
_NOT_AS_EMITTED = "changed"
_PAUSE_SECONDS = 0.5


class NotStreamedError(Exception):
    """The server does not stream this response, or has no place for a stream."""


class StreamedAnswer:
    """Reads one response. ``read`` may be called once."""

    def __init__(self, api: Api, job_id: str) -> None:
        self._api = api
        self._job_id = job_id
        self._last = -1
        self._faults = FaultCount()

    def read(self) -> Iterator[Step]:
        """Yield steps until the job has ended.

        Raises:
            NotStreamedError: read the answer in another way, from its beginning.
            KitError: it cannot be read.
        """
        while True:
            try:
                for step in self._one_stream():
                    yield step
                    if isinstance(step, Ended):
                        return
            except ServerAway as error:
                self._faults.add(error)
            except CallRefused as error:
                if self._is_out_of_reach(error):
                    yield self._anew()
                else:
                    self._faults.add(error)

    def _is_out_of_reach(self, error: CallRefused) -> bool:
        """Return whether events behind the last one cannot be had, but those from the beginning may be."""
        if error.param == "stream" or error.code == "too_many_held":
            raise NotStreamedError from None
        return error.param == "starting_after" and self._last >= 0

    def _anew(self) -> Anew:
        self._last = -1
        return Anew()

    def _one_stream(self) -> Iterator[Step]:
        query = {"stream": "true"}
        if self._last >= 0:
            query["starting_after"] = str(self._last)
        with self._api.events(f"/v1/responses/{response_of(self._job_id)}", query) as events:
            for event in events:
                if event is None:
                    continue
                if event.get("type") == "error" or "sequence_number" not in event:
                    if (step := self._after_error(event)) is not None:
                        yield step
                    return
                self._require_next(event)
                if (step := self._step(event)) is not None:
                    yield step
        raise broken_off(self._job_id, "the connection ended")

    def _require_next(self, event: dict[str, Any]) -> None:
        number = event["sequence_number"]
        if number != self._last + 1:
            raise broken_off(self._job_id, f"event {one_line(number, 20)} follows {self._last}")
        self._last = number
        self._faults.clear()

    def _step(self, event: dict[str, Any]) -> Step | None:
        kind, delta = event.get("type"), event.get("delta")
        if kind == "response.output_text.delta":
            if not isinstance(delta, str):
                raise BadServer("a delta of the stream is no text")
            return Words(delta)
        if kind in {"response.in_progress", "response.reasoning_text.delta"}:
            return Began() if kind == "response.in_progress" else Thought()
        if kind in {"response.completed", "response.incomplete", "response.failed"}:
            return self._end(event.get("response"))
        return None

    def _end(self, response: object) -> Ended:
        ended = end_of_response(response)
        if ended is None or not isinstance(response, dict) or response.get("id") != response_of(self._job_id):
            raise BadServer("the stream's last event has no response that is final, or another one")
        return ended

    def _after_error(self, event: dict[str, Any]) -> Step | None:
        """Return how to go on after an ``error`` event: begin again, or None for reading on.

        Raises:
            KitError: it cannot go on, or that is a fault.
        """
        found = event.get("error")
        error: dict[str, Any] = found if isinstance(found, dict) else event
        code = error.get("code")
        if code in {_ITS_TIME_IS_OVER, _FROM_THE_BEGINNING}:
            time.sleep(_PAUSE_SECONDS)  # both are rare, but a server could go on saying so
            return self._anew() if code == _FROM_THE_BEGINNING else None
        if code == _NOT_AS_EMITTED:
            raise NotStreamedError
        message = one_line(error.get("message") or code or "no reason given", 300)
        raise broken_off(self._job_id, message)
