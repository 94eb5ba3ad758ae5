"""How long something is looked at again before a program says that it is wrong, or that it could not look."""

import time
from collections.abc import Callable

#: Long enough for a restart, a DNS hiccup, AWS's throttling, and for a changed stage or alias to reach every host of
#: API Gateway.
SECONDS = 60.0
#: A look every ten seconds of a minute: seldom enough for the limits of one caller.
_LOOKS = 6


class Patience:
    """A span of time that begins with its first use.

    Args:
        seconds: how long it lasts; with 0 there is one look only.
        pause: seconds between two looks; a sixth of the whole where not given.
        sleep: waits so many seconds.
        clock: a time in seconds that never goes back.
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
        """Wait before another look; False, without waiting, once the time is over. The last look is at its very end."""
        now = self._clock()
        if self._until is None:
            self._until = now + self.seconds
        left = self._until - now
        if left <= 0:
            return False
        self._sleep(min(self._pause, left))
        return True

    def anew(self) -> "Patience":
        """As much of it again, from its own first use."""
        return Patience(self.seconds, self._pause, sleep=self._sleep, clock=self._clock)
