"""Counts of a worker's jobs, for as long as it runs."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

from lambda_router_worker.processing.attempt import Observer
from lambda_router_worker.processing.results import Usage
from lambda_router_worker.prometheus.families import ATTEMPT_SECONDS, WAIT_SECONDS

#: Ends of a job that count as its worker's.
_ENDS = ("completed", "failed", "dead", "cancelled")
#: Outcomes of an attempt, as in the log line ``worked``.
OUTCOMES = frozenset({*_ENDS, "scheduled", "lost", "gone", "given back"})
#: Codes of our own, by what follows. Their series begin at 0: Prometheus sees no increase in one that begins at 1.
RETRIED = ("backend_busy", "backend_unreachable", "key_unavailable", "timeout", "worker_error")
DEAD_AT_ONCE = ("abandoned", "backend_crashed", "unreadable", "unsupported_type", "worker_died")
FAILED_AT_ONCE = (
    "backend_invalid_response",
    "backend_rejected",
    "cannot_decrypt",
    "image_not_allowed",
    "result_not_json",
    "result_too_large",
)
#: The most further codes that are told apart. Handlers choose codes, and each one is a series in Prometheus.
MOST_CODES = 50
#: Stands for codes beyond those, and for outcomes that nobody knows.
OTHER = "other"


class Spread:
    """The observations of a histogram.

    Args:
        buckets: upper bounds, the smallest first.
    """

    def __init__(self, buckets: tuple[float, ...]) -> None:
        self._bounds = buckets
        self._counts = [0] * (len(buckets) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Add an observation; one below 0 counts as 0."""
        seen = max(0.0, value)
        self._counts[bisect_left(self._bounds, seen)] += 1
        self.sum += seen

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """Yield each bound, the last of them ``+Inf``, and the number of observations up to it."""
        return zip([*(str(float(bound)) for bound in self._bounds), "+Inf"], accumulate(self._counts), strict=True)


class JobCounts(Observer):
    """Counts of what the observed jobs did. None of them tells callers apart.

    Attributes:
        jobs: jobs that have ended, by outcome and code.
        retries: attempts that another one follows, by code.
        attempts: durations in seconds, by outcome.
        waits: seconds that jobs waited in line.
        tokens: by type.
    """

    def __init__(self) -> None:
        dead = {("dead", code): 0 for code in RETRIED + DEAD_AT_ONCE}
        failed = {("failed", code): 0 for code in FAILED_AT_ONCE}
        self.jobs = Counter({("completed", ""): 0, ("cancelled", ""): 0} | dead | failed)
        self.retries = Counter(dict.fromkeys(RETRIED, 0))
        self.attempts = {"completed": Spread(ATTEMPT_SECONDS)}
        self.waits = Spread(WAIT_SECONDS)
        self.tokens = Counter({"input": 0, "output": 0})
        self._codes = {*RETRIED, *DEAD_AT_ONCE, *FAILED_AT_ONCE}
        self._most = len(self._codes) + MOST_CODES

    def started(self, waited_seconds: float) -> None:
        self.waits.observe(waited_seconds)

    def ended(self, outcome: str, code: str) -> None:
        if outcome == "scheduled":
            self.retries[self._known(code)] += 1
        elif outcome in _ENDS:
            self.jobs[outcome, "" if outcome in {"completed", "cancelled"} else self._known(code)] += 1

    def attempted(self, outcome: str, seconds: float, usage: Usage) -> None:
        known = outcome.replace(" ", "_") if outcome in OUTCOMES else OTHER
        self.attempts.setdefault(known, Spread(ATTEMPT_SECONDS)).observe(seconds)
        self.tokens.update(usage._asdict())

    def _known(self, code: str) -> str:
        if code not in self._codes and len(self._codes) >= self._most:
            return OTHER
        self._codes.add(code)
        return code
