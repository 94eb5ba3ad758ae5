"""Rate and quota as headers (draft-ietf-httpapi-ratelimit-headers-10) and as a computed ``Retry-After``."""

import math
from typing import NamedTuple

#: Nobody is asked to wait longer than this, whatever is computed: clients give up on larger values.
MAX_RETRY_AFTER_SECONDS = 120

#: A job is worth looking at this often, however long it is likely to take.
MAX_POLL_SECONDS = 30

#: The longest that an answer is held back for `Prefer: wait`.
MAX_WAIT_SECONDS = 20

#: When to look again at a job that is not final, where no place was free to wait for it.
NO_PLACE_RETRY_SECONDS = 2

#: When to come back to a full queue that no worker empties.
QUEUE_FULL_RETRY_MS = 30_000

#: When to come back where too many bytes are stored: they go as records end, which are counted in tens of minutes.
STORED_RETRY_MS = MAX_RETRY_AFTER_SECONDS * 1000

#: What a client should wait before it repeats a request that met a broken dependency.
UNAVAILABLE_RETRY_SECONDS = 2

RATE_POLICY = "rate"
OPEN_JOBS_POLICY = "open-jobs"
STORED_BYTES_POLICY = "stored-bytes"


class RatePolicy(NamedTuple):
    """How often one caller may send jobs: sustained per minute, and at once."""

    per_minute: int
    burst: int

    @property
    def interval_ms(self) -> float:
        """Milliseconds between two jobs at the sustained rate: GCRA's emission interval."""
        return 60_000 / self.per_minute


class RateState(NamedTuple):
    """Where a caller stands after the decision: jobs it may send now, and milliseconds until the burst is whole."""

    remaining: int
    reset_ms: int


def rate_headers(policy: RatePolicy, state: RateState) -> dict[str, str]:
    """``RateLimit-Policy`` and ``RateLimit``. The quota is what the window of one minute sustains."""
    return {
        "RateLimit-Policy": f'"{RATE_POLICY}";q={policy.per_minute};w=60',
        "RateLimit": f'"{RATE_POLICY}";r={state.remaining};t={math.ceil(state.reset_ms / 1000)}',
    }


def retry_after(milliseconds: float, at_most: int = MAX_RETRY_AFTER_SECONDS) -> dict[str, str]:
    """``Retry-After`` in whole seconds, at least 1 and at most ``at_most`` (RFC 9110 section 10.2.3)."""
    seconds = min(max(1, math.ceil(milliseconds / 1000)), at_most)
    return {"Retry-After": str(seconds)}
