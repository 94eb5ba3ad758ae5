"""The log of a Redis outage: each reason and the end, but no line for every retry."""

import time
from collections.abc import Callable

from lambda_router_queue.redis.troubles import explain
from lambda_router_worker.worker_log import log

#: The same reason is logged again after this time.
REPEAT_SECONDS = 60.0


class Outage:
    """A Redis outage, as the claiming loop's attempts show it.

    Args:
        clock: a time in seconds that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = 0.0
        self._said_at: dict[str, float] = {}
        self.failures = 0

    def failed(self, error: BaseException) -> None:
        """Record a failure. Each reason is logged when it is new, and again after a minute."""
        self.failures += 1
        now = self._clock()
        if self.failures == 1:
            self._since = now
        explanation = explain(error)
        if now - self._said_at.get(explanation, -REPEAT_SECONDS) >= REPEAT_SECONDS:
            self._said_at[explanation] = now
            log.warning("redis", extra={"explanation": explanation, "failures": self.failures})

    def over(self) -> None:
        """Record a reply from Redis."""
        if self.failures:
            seconds = round(self._clock() - self._since, 1)
            log.info("redis answers again", extra={"failures": self.failures, "seconds": seconds})
        self.failures = 0
        self._said_at.clear()
