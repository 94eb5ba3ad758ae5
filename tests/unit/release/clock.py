"""A clock that moves only when somebody waits, or when a test says so."""

from tools.stack.patience import Patience


class Clock:
    """Stands in for ``time.sleep`` and ``time.monotonic``."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def patience(self, seconds: float = 60.0) -> Patience:
        return Patience(seconds, sleep=self.sleep, clock=lambda: self.now)
