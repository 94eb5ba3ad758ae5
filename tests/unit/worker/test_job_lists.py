"""lambda_router_worker.queue.job_lists: which entries of which lists are read, and what that keeps them down to."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from lambda_router_queue.redis.wire import Broken
from lambda_router_worker.queue.job_lists import JOBS_A_LOOK, MAX_DUE, WINDOW, JobLists


class Lists:
    """A queue's lists. An id is a number, and has a record as ``alive`` says."""

    def __init__(self, alive: Callable[[int], bool]) -> None:
        self.of: dict[str, list[int]] = {}
        self.looks: Counter[int] = Counter()
        self.away = False
        self._alive = alive

    async def listed(self, owner: str) -> int:
        if self.away:
            raise Broken("away")
        return len(self.of.get(owner, []))

    async def forget(self, owner: str, first: int, last: int) -> int:
        ids = self.of.get(owner, [])
        seen = ids[first : last + 1]
        self.looks.update(seen)
        gone = {job for job in seen if not self._alive(job)}
        self.of[owner] = [job for job in ids if job not in gone]
        return len(gone)


def job_lists(queue: Any, seed: int = 1) -> JobLists:
    return JobLists(queue, random.Random(seed))


@pytest.mark.parametrize("workers", [1, 20])
@pytest.mark.parametrize("heads", [0, 500], ids=["all live as long", "behind many that live on"])
def test_a_list_comes_to_rest_at_a_third_more_than_lives(workers: int, heads: int):
    """However many workers share the caller's jobs, and whatever lives on at the list's head."""
    living, newest = 1_000, 0
    queue = Lists(lambda job: job < heads or job > newest - living)
    queue.of["alice"] = list(range(heads))
    each = [job_lists(queue, seed) for seed in range(workers)]
    lengths = []

    async def scenario() -> None:
        nonlocal newest
        for newest in range(heads, 12_000):
            queue.of["alice"].append(newest)
            each[newest % workers].met("alice")
            await each[newest % workers].trim()
            lengths.append(len(queue.of["alice"]))

    asyncio.run(scenario())
    at_rest = lengths[5_000:]
    assert sum(at_rest) / len(at_rest) < 1.1 * ((living + heads) * 4 / 3 + 85)
    assert {*range(heads), *range(newest - living + 1, newest + 1)} <= set(queue.of["alice"])


@pytest.mark.parametrize("length", [1, 100, WINDOW, 1_000])
def test_every_entry_is_as_likely_to_be_looked_at_at_both_ends_of_the_list(length: int):
    queue = Lists(lambda _: True)
    queue.of["alice"] = list(range(length))
    lists = job_lists(queue)
    for _ in range(300 * JOBS_A_LOOK):
        lists.met("alice")
    asyncio.run(lists.trim())
    expected = 300 * WINDOW / (length + WINDOW - 1)
    assert len(queue.looks) == length
    assert all(0.6 * expected < count < 1.4 * expected for count in queue.looks.values())


def test_a_caller_among_many_has_its_list_looked_at_for_one_in_so_many_of_its_own_jobs():
    queue = Lists(lambda _: True)
    queue.of["alice"] = [1]
    lists = job_lists(queue)
    for number in range(50 * JOBS_A_LOOK):
        lists.met(f"caller-{number}")
        for _ in range(4):
            lists.met("alice")
    asyncio.run(lists.trim())
    assert 0.7 * 200 < queue.looks[1] < 1.3 * 200


def test_looks_that_wait_for_redis_are_bounded_and_done_once_it_is_back():
    queue = Lists(lambda _: False)
    queue.of = {f"caller-{number}": [number] for number in range(2 * MAX_DUE * JOBS_A_LOOK)}
    lists = job_lists(queue)
    queue.away = True
    for owner in queue.of:
        lists.met(owner)
    with pytest.raises(Broken):
        asyncio.run(lists.trim())
    assert not queue.looks

    queue.away = False
    removed = asyncio.run(lists.trim())
    assert removed == len(queue.looks) == sum(not ids for ids in queue.of.values())
    assert MAX_DUE - 10 < removed < MAX_DUE
