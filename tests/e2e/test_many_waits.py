"""More long polls at once than may be held, on the whole service as ``make run`` starts it."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

import httpx

from tests.e2e.conftest import StartStack
from tests.e2e.running_stack import RunningStack, submit

SECONDS = 5


class Answer(NamedTuple):
    """What a long poll was granted, when it was told to come again, and how long it was held."""

    applied: str
    retry_after: str | None
    held: bool


def delayed_job(caller: httpx.Client) -> str:
    """The path of a job that stays queued throughout the test."""
    body = {"type": "generate", "input": {"prompt": "hello"}, "delay_seconds": 300}
    return str(caller.post("/v1/jobs", json=body).raise_for_status().headers["location"])


def poll(caller: httpx.Client, path: str) -> Answer:
    started = time.monotonic()
    reply = caller.get(path, headers={"Prefer": f"wait={SECONDS}"})
    took = time.monotonic() - started
    assert (reply.status_code, reply.json()["status"]) == (200, "queued")
    return Answer(reply.headers["preference-applied"], reply.headers.get("retry-after"), took >= SECONDS)


def poll_together(stack: RunningStack, callers: dict[str, int]) -> dict[str, Counter[Answer]]:
    """So many long polls of each of these callers, all at once."""
    with ExitStack() as clients, ThreadPoolExecutor(sum(callers.values())) as threads:
        futures = {}
        for name, count in callers.items():
            client = clients.enter_context(stack.caller(name))
            path = delayed_job(client)
            futures[name] = [threads.submit(poll, client, path) for _ in range(count)]
        return {name: Counter(future.result() for future in each) for name, each in futures.items()}


HELD = Answer(f"wait={SECONDS}", None, True)
TURNED_AWAY = Answer("wait=0", "30", False)  # its delay is longer than that


def test_of_sixty_waits_of_one_caller_eight_are_held_and_the_others_answered_at_once(stack: RunningStack) -> None:
    assert poll_together(stack, {"ann": 60}) == {"ann": Counter({HELD: 8, TURNED_AWAY: 52})}


def test_a_caller_who_waits_too_often_takes_no_place_from_another(stack: RunningStack) -> None:
    answers = poll_together(stack, {"ann": 20, "bob": 3})

    assert answers == {"ann": Counter({HELD: 8, TURNED_AWAY: 12}), "bob": Counter({HELD: 3})}


def test_all_callers_together_hold_no_more_than_their_bound(start_stack: StartStack) -> None:
    stack = start_stack(ROUTER_WAITS_CAP="10")

    answers = poll_together(stack, {"ann": 6, "bob": 6, "eve": 6})

    assert sum(answers.values(), Counter()) == Counter({HELD: 10, TURNED_AWAY: 8})


def test_places_are_given_back_as_soon_as_a_wait_ends(stack: RunningStack) -> None:
    with stack.caller("ann") as ann:
        job = submit(ann).json()
        for _ in range(9):
            reply = ann.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=20"})
            assert reply.headers["preference-applied"] == "wait=20"
