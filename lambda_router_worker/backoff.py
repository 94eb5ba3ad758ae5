"""Delays before retries."""

import asyncio
import random

from lambda_router_queue.models import MAX_REST_SECONDS, RetryPolicy

MAX_PAUSE_SECONDS = 5.0
#: A model server that has recovered is noticed within this time.
MAX_PROBE_DELAY_SECONDS = 30.0


def retry_delay_ms(policy: RetryPolicy, attempts: int, at_least_seconds: float = 0) -> int:
    """Return an exponential backoff delay with full jitter, in milliseconds.

    The delay is drawn from 0 to ``first_delay_ms * 2 ** (attempts - 1)``, but never above ``longest_delay_ms``. Full
    jitter spreads a herd of failed jobs best (AWS Architecture Blog, "Exponential Backoff And Jitter").

    Args:
        at_least_seconds: minimum delay; values above MAX_REST_SECONDS count as MAX_REST_SECONDS.
    """
    ceiling = min(policy.longest_delay_ms, policy.first_delay_ms * 2 ** min(attempts - 1, 30))
    drawn = random.uniform(0, ceiling)  # noqa: S311 (no secret)
    return round(max(drawn, min(at_least_seconds, MAX_REST_SECONDS) * 1000))


def probe_delay_seconds(failures: int) -> float:
    """Return the wait before a model server is probed again: about 1 s, doubled with each failure, up to about 30 s."""
    return min(MAX_PROBE_DELAY_SECONDS, 2.0 ** min(failures - 1, 10)) * random.uniform(0.5, 1)  # noqa: S311 (no secret)


async def pause(failures: int, stop: asyncio.Event | None = None) -> None:
    """Wait before the next request to Redis, longer after each failure. A set ``stop`` ends the wait."""
    seconds = random.uniform(0, min(MAX_PAUSE_SECONDS, 0.1 * 2 ** min(failures, 10)))  # noqa: S311 (no secret)
    try:
        async with asyncio.timeout(seconds):
            await (stop or asyncio.Event()).wait()
    except TimeoutError:
        pass
