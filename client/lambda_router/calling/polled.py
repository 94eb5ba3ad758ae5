"""An answer read in short responses of ``/v1/jobs/{id}/events``, for servers that do not stream."""

import time
from collections.abc import Iterator
from typing import Any

from lambda_router.calling.api import Api, Reply
from lambda_router.calling.faults import FaultCount
from lambda_router.calling.refusals import CallRefused
from lambda_router.calling.steps import Anew, Ended, Step, Thought, Words, end_of_job
from lambda_router.errors import BadServer, ServerAway

#: Between two empty answers of a server that neither waits nor says how long to.
_LEAST_SECONDS = 1.0


class PolledAnswer:
    """Reads one job's live output. ``read`` may be called once."""

    def __init__(self, api: Api, job_id: str) -> None:
        self._api = api
        self._job_id = job_id
        self._after = ""
        self._faults = FaultCount()

    def read(self) -> Iterator[Step]:
        """Yield steps until the job has ended, from the answer's beginning. Raises KitError."""
        while True:
            began = time.monotonic()
            try:
                reply = self._page()
            except CallRefused as error:
                if error.status == 400 and self._after:
                    self._after = ""
                    yield Anew()
                    continue
                self._faults.add(error)
                continue
            except ServerAway as error:
                self._faults.add(error)
                continue
            self._faults.clear()
            steps = list(self._steps(reply.document))
            for step in steps:
                yield step
                if isinstance(step, Ended):
                    return
            if not steps:
                self._pause(reply, time.monotonic() - began)

    def _page(self) -> Reply:
        query = {"after": self._after} if self._after else {}
        return self._api.call("GET", f"/v1/jobs/{self._job_id}/events", params=query)

    def _steps(self, page: dict[str, Any]) -> Iterator[Step]:
        events = page.get("data")
        if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
            raise BadServer("the job's events are no list of objects")
        for event in events:
            if not isinstance(event.get("id"), str):
                raise BadServer("one of the job's events has no id")
            self._after = event["id"]
            if (step := self._step(event)) is not None:
                yield step

    def _step(self, event: dict[str, Any]) -> Step | None:
        delta = event.get("delta")
        if event.get("type") == "job":
            job = event.get("job")
            ended = end_of_job(job)
            if ended is None or not isinstance(job, dict) or job.get("id") != self._job_id:
                raise BadServer("the last of the job's events has no job that is final, or another one")
            return ended
        if event.get("type") == "restarted":
            return Anew()
        if isinstance(delta, dict) and isinstance(delta.get("text"), str):
            return Words(delta["text"])
        return Thought() if isinstance(delta, dict) and "reasoning" in delta else None

    @staticmethod
    def _pause(reply: Reply, seconds: float) -> None:
        """Wait before asking again: as long as the server says, and never so little that it is asked without end."""
        time.sleep(max(reply.retry_after or 0.0, _LEAST_SECONDS - seconds, 0.0))
