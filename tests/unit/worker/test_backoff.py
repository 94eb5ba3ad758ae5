"""How long to wait before the next try."""

import asyncio
import time

import pytest

from lambda_router_queue.models import MAX_REST_SECONDS, RetryPolicy
from lambda_router_worker.backoff import pause, retry_delay_ms

POLICY = RetryPolicy(attempts=10, first_delay_ms=1_000, longest_delay_ms=8_000)


@pytest.mark.parametrize(("attempts", "ceiling"), [(1, 1_000), (2, 2_000), (4, 8_000), (9, 8_000), (500, 8_000)])
def test_the_delay_is_drawn_from_zero_to_a_doubling_ceiling(attempts: int, ceiling: int) -> None:
    drawn = [retry_delay_ms(POLICY, attempts) for _ in range(2_000)]

    assert min(drawn) < ceiling * 0.1
    assert ceiling * 0.9 < max(drawn) <= ceiling
    assert ceiling * 0.4 < sum(drawn) / len(drawn) < ceiling * 0.6


def test_a_server_that_asks_to_be_left_alone_is() -> None:
    assert all(retry_delay_ms(POLICY, 1, at_least_seconds=30) == 30_000 for _ in range(20))


def test_a_server_is_not_left_alone_for_ever() -> None:
    assert retry_delay_ms(POLICY, 1, at_least_seconds=1e9) == MAX_REST_SECONDS * 1000


def test_a_stop_ends_the_pause() -> None:
    async def stopped() -> float:
        stop = asyncio.Event()
        stop.set()
        started = time.monotonic()
        for _ in range(20):
            await pause(10, stop)
        return time.monotonic() - started

    assert asyncio.run(stopped()) < 1
