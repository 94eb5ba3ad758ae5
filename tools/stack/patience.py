"""The time for which a program repeats a check before it reports a fault, or that it could not check."""

import time
from collections.abc import Callable

#: Long enough for a restart, a DNS failure or AWS's throttling, and for a changed stage or alias to reach every host of
#: API Gateway.
SECONDS = 60.0
#: A look every ten seconds of a minute, which stays within the limits of one caller.
_LOOKS = 6


class Patience:
    """A time span that begins with its first use.

    Args:
        seconds: its length; 0 allows one look only.
        pause: seconds between two looks; a sixth of the span by default.
        sleep: waits for so many seconds.
        clock: returns a monotonic time in seconds.
    """

    def __init__(
        self,
        seconds: float = SECONDS,
        pause: float | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds = seconds
        self._pause, self._sleep, self._clock = seconds / _LOOKS if pause is None else pause, sleep, clock
        self._until: float | None = None

    def again(self) -> bool:
        """Wait before another look, the last at the very end; return False, without waiting, once the time is over."""
        now = self._clock()
        if self._until is None:
            self._until = now + self.seconds
        left = self._until - now
        if left <= 0:
            return False
        self._sleep(min(self._pause, left))
        return True

    def anew(self) -> "Patience":
        """Return a new span of the same length, which begins with its own first use."""
        return Patience(self.seconds, self._pause, sleep=self._sleep, clock=self._clock)
