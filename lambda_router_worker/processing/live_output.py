"""Live output: what handlers emit, on its way to Redis.

One call stores the output of all jobs of this worker: the first piece of a job at once, the others at most every 50 ms.
So the pace of a model server costs neither its loop nor Redis a call for each token.
"""

import asyncio
import time
from collections.abc import Callable

from lambda_router_queue import traces
from lambda_router_queue.encryption.sealing import event_part
from lambda_router_queue.redis.errors import Reaction, reaction
from lambda_router_queue.redis.troubles import explain
from lambda_router_queue.redis.wire import Refused
from lambda_router_worker.backoff import pause
from lambda_router_worker.deltas import Deltas
from lambda_router_worker.job import Delta
from lambda_router_worker.outcomes import JobFailed
from lambda_router_worker.queue.connection import REDIS_TROUBLE
from lambda_router_worker.queue.work_queue import Lease, Pieces, WorkQueue
from lambda_router_worker.worker_log import log

EVERY_SECONDS = 0.05
#: The time between pieces grows by EVERY_SECONDS after each so many pieces of a job. Each takes a few hundred bytes if
#: it is encrypted, so an attempt of hours would fill the room for its output (``emit.lua``) with few words.
PIECES_AT_ONE_PACE = 2_000
#: Most bytes of one call. Its last piece may go beyond.
MOST_CALL_BYTES = 1024 * 1024
#: What a piece costs Redis besides its text, in the time for so many bytes: a call with 2,000 of them takes 20 ms.
PIECE_BYTES = 512

#: Encrypts a text as a part of its job.
type Seal = Callable[[str, str], str]


class Output:
    """The output of one attempt at a job.

    The attempt's pieces are kept until its end: Redis may lose its last second, and then gets them again.

    Args:
        seal: encrypts each piece; None for a job that is not encrypted.
    """

    def __init__(self, live: "LiveOutput", lease: Lease, seal: Seal | None = None) -> None:
        self.lease = lease
        self._live = live
        self._deltas = Deltas()
        self._seal = seal
        self._pieces: list[str] = []
        self._stored = 0
        self._is_whole = False
        self._is_closed = False
        self._due = 0.0
        self._stopped: str | None = None

    def take(self, delta: Delta) -> None:
        """Take a delta, to be stored soon. Raises ValueError, JobFailed."""
        if self._stopped == "full":
            raise JobFailed("result_too_large", "The live output of the job is too large.")
        if self._stopped is None and not self._is_closed:
            self._deltas.add(delta)
            self._live.schedule(self, is_first=not self._pieces)

    def stop(self, reason: str) -> None:
        """Store nothing further."""
        self._stopped = self._stopped or reason
        self._live.forget(self)

    async def settled(self) -> None:
        """Store all that is left, and make sure that all is there, unless Redis refuses it for good.

        What comes from now on is dropped: the handler is done. A task that it left behind must not delay its result.

        Raises REDIS_TROUBLE, JobFailed.
        """
        self._is_closed = True
        self._is_whole = not (self._pieces or self._deltas)
        while self._stopped is None and not self._is_whole:
            try:
                await self._live.store([self], is_end=True)
            except Refused as refusal:
                if reaction(str(refusal)) is Reaction.AGAIN:
                    raise
                # Such as a full memory, which accepts a result all the same. The result says more than the output.
                self.end("refused")
        if self._stopped == "full":
            raise JobFailed("result_too_large", "The live output of the job is too large.")

    def pieces(self, most_bytes: int, *, is_end: bool) -> Pieces:
        """Return the next pieces to store, as many as have so many bytes; one if that is more than 0."""
        for text in self._deltas.pieces(is_end=is_end):
            part = event_part(self.lease.token, len(self._pieces) + 1)
            self._pieces.append(self._seal(text, part) if self._seal else text)
        self._due = time.monotonic() + EVERY_SECONDS * (len(self._pieces) // PIECES_AT_ONE_PACE)
        texts: list[str] = []
        for place in range(self._stored, len(self._pieces)):
            text = self._pieces[place]
            if most_bytes <= 0 or (texts and cost_of(text) > most_bytes):
                break
            most_bytes -= cost_of(text)
            texts.append(text)
        return Pieces(self.lease, self._stored + 1, texts)

    def take_reply(self, word: str, sent: Pieces) -> None:
        """Note what ``emit.lua`` replied to those pieces."""
        verdict, _, number = word.partition(" ")
        if verdict == "stored":
            self._stored = sent.first + len(sent.texts) - 1
            self._is_whole = not (self._deltas or self.is_behind)
        elif verdict == "behind":
            self._stored = min(int(number) - 1, len(self._pieces))
        else:
            self.end(verdict)

    def end(self, reason: str) -> None:
        """Store nothing further, and log why."""
        self.stop(reason)
        log.info("output ends", extra={"job_id": self.lease.claim.job_id, "reason": reason})

    @property
    def is_stopped(self) -> bool:
        return self._stopped is not None

    @property
    def is_due(self) -> bool:
        """Whether what came since the last piece may be stored."""
        return time.monotonic() >= self._due

    @property
    def is_behind(self) -> bool:
        """Whether there are pieces that Redis lacks. Deltas that came since then wait for the next beat."""
        return self._stopped is None and self._stored < len(self._pieces)


def cost_of(text: str) -> int:
    """Return what of ``MOST_CALL_BYTES`` a piece takes."""
    return len(text) + PIECE_BYTES


class LiveOutput:
    """The output of all jobs of a worker that is not stored yet."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue
        self._waiting: dict[Output, None] = {}
        self._one_call = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_urgent = False

    def of(self, lease: Lease, seal: Seal | None = None) -> Output:
        """Return the output of a started job."""
        return Output(self, lease, seal)

    def schedule(self, output: Output, *, is_first: bool) -> None:
        """Store the output soon; its first piece at once."""
        self._waiting[output] = None
        is_sooner = is_first and not self._is_urgent
        self._is_urgent = self._is_urgent or is_first
        # A call that is due is not put off: a handler may emit at every turn of the loop.
        if self._task is None and (self._timer is None or is_sooner):
            self._call_soon()

    def forget(self, output: Output) -> None:
        """Store nothing further of that output."""
        self._waiting.pop(output, None)

    async def store(self, outputs: list[Output], *, is_end: bool = False) -> None:
        """Store the pieces of those outputs that wait, in one call. Raises REDIS_TROUBLE."""
        async with self._one_call:
            room, sent = MOST_CALL_BYTES, []
            for output in (output for output in outputs if not output.is_stopped):
                pieces = output.pieces(room, is_end=is_end)
                room -= sum(map(cost_of, pieces.texts))
                if pieces.texts or is_end:
                    sent.append((output, pieces))
            if not sent:
                return
            words = await self._queue.emit([pieces for _, pieces in sent])
            for (output, pieces), word in zip(sent, words, strict=True):
                output.take_reply(word, pieces)

    def _call_soon(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # A common beat for all jobs, so that they share calls.
        until = 0.0 if self._is_urgent else EVERY_SECONDS - time.monotonic() % EVERY_SECONDS
        self._timer = asyncio.get_running_loop().call_later(until, self._begin)

    def _begin(self) -> None:
        self._timer, self._is_urgent = None, False
        self._task = asyncio.create_task(self._flush(), name="live output")

    def _due(self) -> list[Output]:
        """Return the outputs that may be stored now. They wait no longer."""
        due = [output for output in self._waiting if output.is_due]
        for output in due:
            self.forget(output)
        return due

    async def _flush(self) -> None:
        """Store what waits. A Redis outage is no reason to stop: the next call brings all of it.

        What comes from other jobs meanwhile goes first, so that one with much to store does not hold them up.
        """
        waiting = self._due()
        failures = 0
        try:
            while waiting:
                try:
                    await self.store(waiting)
                except REDIS_TROUBLE as trouble:
                    failures += 1
                    if failures == 1:
                        log.warning("output waits", extra={"explanation": explain(trouble)})
                    await pause(failures)
                behind = [output for output in waiting if output.is_behind]
                waiting = list(dict.fromkeys([*self._due(), *behind])) if behind else []
        except Exception as error:  # a bug here must not affect the jobs: their results say it all
            for output in waiting:
                output.stop("broken")
            log.error("output broken", extra=traces.facts(error))
        finally:
            self._task = None
            if self._waiting:
                self._call_soon()
