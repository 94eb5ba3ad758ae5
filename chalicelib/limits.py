"""Rate and quota headers (draft-ietf-httpapi-ratelimit-headers-10), and a computed ``Retry-After``."""

import math
from typing import NamedTuple

#: The longest ``Retry-After``, whatever is computed: clients give up on larger values.
MAX_RETRY_AFTER_SECONDS = 120

#: The longest interval between polls of a job, however long it is likely to take.
MAX_POLL_SECONDS = 30

#: A job that takes longer than expected is polled again after this part of the time that it has taken so far. So its
#: result is found at most a third late, and the number of polls grows only with the logarithm of its time.
LATE_PART = 1 / 3

#: The longest that a response is held for `Prefer: wait`.
MAX_WAIT_SECONDS = 20

#: The longest that the OpenAI API holds a response without sending anything. With API Gateway, Lambda ends a request
#: after 29 s.
MAX_HOLD_SECONDS = 25

#: The longest that the OpenAI API may take over one response where it is streamed: Lambda's and API Gateway's limit.
MAX_STREAM_SECONDS = 900

#: When to poll again for a job that is not final, if no place was free to wait for it.
NO_PLACE_RETRY_SECONDS = 2

#: When to retry if the queue is full and no worker empties it.
QUEUE_FULL_RETRY_MS = 30_000

#: When to retry if too many bytes are stored. They are freed as records end, which is counted in steps of ten minutes.
STORED_RETRY_MS = MAX_RETRY_AFTER_SECONDS * 1000

#: How long a client should wait before it retries a request that failed because of a dependency.
UNAVAILABLE_RETRY_SECONDS = 2

#: Headers that tell a caller's rate.
RATE_HEADERS = ("RateLimit", "RateLimit-Policy")

RATE_POLICY = "rate"
OPEN_JOBS_POLICY = "open-jobs"
STORED_BYTES_POLICY = "stored-bytes"


class RatePolicy(NamedTuple):
    """The rate at which one caller may send jobs: sustained per minute, and in one burst."""

    per_minute: int
    burst: int

    @property
    def interval_ms(self) -> float:
        """Milliseconds between two jobs at the sustained rate: GCRA's emission interval."""
        return 60_000 / self.per_minute


class RateState(NamedTuple):
    """A caller's allowance after the decision: jobs it may send now, and milliseconds until the burst is restored."""

    remaining: int
    reset_ms: int


def rate_headers(policy: RatePolicy, state: RateState) -> dict[str, str]:
    """Return ``RateLimit-Policy`` and ``RateLimit``. The quota is what a window of one minute sustains."""
    return {
        "RateLimit-Policy": f'"{RATE_POLICY}";q={policy.per_minute};w=60',
        "RateLimit": f'"{RATE_POLICY}";r={state.remaining};t={math.ceil(state.reset_ms / 1000)}',
    }


def retry_after(milliseconds: float, at_most: int = MAX_RETRY_AFTER_SECONDS) -> dict[str, str]:
    """Return ``Retry-After`` in whole seconds, at least 1 and at most ``at_most`` (RFC 9110 section 10.2.3)."""
    seconds = min(max(1, math.ceil(milliseconds / 1000)), at_most)
    return {"Retry-After": str(seconds)}
