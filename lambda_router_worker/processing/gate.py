"""The gate: a worker claims no job while its model server is in trouble.

The worker that fails fastest claims most. So a worker with a dead server would use up the attempts of all waiting jobs.
"""

import asyncio
from typing import Protocol

from lambda_router_worker.backend.server_trouble import Kind, ServerTrouble
from lambda_router_worker.backoff import probe_delay_seconds
from lambda_router_worker.outcomes import TryAgain
from lambda_router_worker.worker_log import log

#: After this many consecutive jobs met a broken or doubtful server, a probe decides about the gate.
IN_A_ROW = 3


class Probed(Protocol):
    """A model server that can be probed; ``name`` is its URL, without secrets."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> str: ...

    async def probe(self, *, thorough: bool) -> None:
        """Raise ServerTrouble if the server is not healthy.

        ``thorough`` makes it compute one token instead of listing its models.
        """


class Gate:
    """An open or closed gate, and the reason for it.

    Args:
        server: the model server; None for a handler without one, whose gate is always open. With a server, the gate
            stays closed until the server has passed a probe.
    """

    def __init__(self, server: Probed | None = None) -> None:
        self._server = server
        self._reason = "" if server is None else "the model server has not answered yet"
        self._opened_before = False
        self._in_a_row = 0
        self._failures = 0
        self._judging = asyncio.Lock()

    @property
    def has_server(self) -> bool:
        return self._server is not None

    @property
    def facts(self) -> dict[str, str]:
        """The log fields that describe the server; empty without one."""
        return {} if self._server is None else {"backend": self._server.name, "model": self._server.model}

    @property
    def is_open(self) -> bool:
        return not self._reason

    @property
    def reason(self) -> str:
        """The reason that the gate is closed, on one line; empty while it is open."""
        return self._reason

    def job_was_answered(self) -> None:
        """Reset the failure counts: the server processed a job, or rejected it for a reason of the job's own."""
        self._in_a_row = self._failures = 0

    async def judge(self, trouble: ServerTrouble) -> bool:
        """Return True if the gate is now closed and the job must be given back. False means that the job is at fault.

        A lost connection closes the gate at once. After a rejection, a probe decides. A probe also decides after the
        third consecutive job that met a broken server or a 400. Some servers send a 400 for a wrong model or chat
        template.
        """
        if self._server is None:
            return False
        async with self._judging:
            if not self.is_open:
                return True
            if trouble.kind is Kind.UNREACHABLE:
                self._close(trouble.reason)
                return True
            self._in_a_row += 1
            if trouble.kind is not Kind.REFUSED_US and self._in_a_row < IN_A_ROW:
                return False
            self._in_a_row = 0
            found = await _trouble_of(self._server, thorough=True)
            # A probe that merely timed out confirms no rejection: it may be queued behind this worker's own jobs.
            if found is None or (found.kind is Kind.BROKEN and trouble.kind is not Kind.BROKEN):
                return False
            self._close(found.reason)
            return True

    async def wait_until_open(self, stop: asyncio.Event) -> None:
        """Probe the server until it is healthy. A set ``stop`` ends the wait.

        The delay grows while the server stays unhealthy. It also grows each time the server breaks again before it has
        processed a single job, because a server that passes a probe may still break on every job.
        """
        opening = asyncio.create_task(self._probe_until_open())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (opening, stopping):
            task.cancel()
        await asyncio.gather(opening, stopping, return_exceptions=True)

    async def _probe_until_open(self) -> None:
        while self._server is not None and not self.is_open:
            if self._failures:
                await asyncio.sleep(probe_delay_seconds(self._failures))
            found = await _trouble_of(self._server, thorough=self._opened_before)
            if found is None:
                self._open()
                return
            self._close(found.reason)

    def _close(self, reason: str) -> None:
        self._failures += 1
        if reason != self._reason:
            log.warning("gate closed", extra=self.facts | {"reason": reason})
        self._reason = reason

    def _open(self) -> None:
        if self._opened_before:
            log.warning("gate open", extra=self.facts)
        self._reason, self._opened_before, self._in_a_row = "", True, 0


async def _trouble_of(server: Probed, *, thorough: bool) -> ServerTrouble | None:
    """Return what a probe finds wrong, or None."""
    try:
        await server.probe(thorough=thorough)
    except ServerTrouble as trouble:
        return trouble
    except Exception as error:  # an unforeseen response; the server is certainly not healthy
        reason = f"the probe failed with {type(error).__name__}"
        return ServerTrouble(reason, Kind.REFUSED_US, TryAgain("worker_error", "The worker failed on this job."))
    return None
