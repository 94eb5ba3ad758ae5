"""chalicelib.jobs.live_output: a job that is followed to its end, as the streams of the OpenAI API follow it."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from chalicelib.jobs.job_records import Record
from chalicelib.jobs.live_output import Emitted
from chalicelib.wiring import Services
from tests.conftest import Reply, Router
from tests.integration.http.events.event_reader import Hand
from tests.integration.in_redis import KEYS
from tests.job_ids import any_job_id

type Steps = Iterator[Emitted | Record | None]

#: No test waits as long.
LONG = 30.0


@pytest.fixture
def job_id(submitted: Reply) -> str:
    return str(submitted.json["id"])


@pytest.fixture
def owner(db: redis.Redis, job_id: str) -> str:
    return str(db.hget(KEYS.job(job_id), "owner"))


@pytest.fixture
def hand(redis_url: str, job_id: str) -> Hand:
    return Hand(redis_url)


@pytest.fixture
def steps(services: Services, owner: str, job_id: str) -> Steps:
    """Alice's job, followed from its first piece."""
    return services.live.follow(owner, job_id, "", time.monotonic() + LONG)


def shown(steps: Steps) -> list[Any]:
    """What is left: deltas, ``None`` for a mark, and the final status."""
    found = [step for step in steps if step is not None]
    return [step.delta if isinstance(step, Emitted) else step.job.status for step in found]


def next_entry(steps: Steps) -> Emitted:
    entry = next(step for step in steps if step is not None)
    assert isinstance(entry, Emitted)
    return entry


def test_a_follower_gets_each_piece_and_at_last_the_job(steps: Steps, hand: Hand):
    for letter in "abc":
        hand.emit(letter)
        assert next_entry(steps).delta == {"text": letter}
    hand.emit("d")
    hand.finish()
    assert shown(steps) == [{"text": "d"}, "completed"]


def test_a_late_follower_gets_the_whole_log_however_long(steps: Steps, hand: Hand):
    hand.emit(*map(str, range(500)))
    hand.finish()
    assert shown(steps) == [*({"text": str(number)} for number in range(500)), "completed"]


def test_a_follower_goes_on_behind_an_id(services: Services, owner: str, job_id: str, hand: Hand):
    hand.emit(*"abc")
    hand.finish()
    after = f"{hand.lease.token}-2"
    assert shown(services.live.follow(owner, job_id, after, time.monotonic() + LONG)) == [{"text": "c"}, "completed"]


def test_a_follower_gets_none_about_once_a_second_while_nothing_comes(steps: Steps, hand: Hand):
    began = time.monotonic()
    assert [next(steps) for _ in range(5)] == [None] * 5
    assert time.monotonic() - began < LONG / 2
    hand.emit("a")
    assert next_entry(steps).delta == {"text": "a"}


def test_a_follower_of_a_cancelled_job_learns_it(steps: Steps, hand: Hand, router: Router, job_id: str):
    hand.emit("a")
    assert next_entry(steps).delta == {"text": "a"}
    router.delete(f"/v1/jobs/{job_id}")
    assert shown(steps) == ["cancelled"]


def test_a_follower_is_told_of_another_attempt(steps: Steps, hand: Hand):
    hand.emit("old")
    next_entry(steps)
    hand.retry()
    hand.emit("new")
    hand.finish()
    assert shown(steps) == [None, {"text": "new"}, "completed"]


def test_a_follower_gets_past_rubbish_to_what_comes_behind_it(steps: Steps, hand: Hand, db: redis.Redis, job_id: str):
    for number in range(1, 200):  # several reads of nothing but that
        db.xadd(KEYS.events(job_id), {"delta": "{"}, id=f"{hand.lease.token}-{number}")
    db.xadd(KEYS.events(job_id), {"delta": '{"text": "a"}'}, id=f"{hand.lease.token}-200")
    hand.finish()
    assert shown(steps) == [{"text": "a"}, "completed"]


def test_a_follower_stops_when_its_time_is_up(services: Services, owner: str, job_id: str, hand: Hand):
    hand.emit("a")
    steps = services.live.follow(owner, job_id, "", time.monotonic() + 0.2)
    assert shown(steps) == [{"text": "a"}]


def test_a_follower_of_no_job_and_of_another_callers_ends_at_once(services: Services, job_id: str, owner: str):
    assert shown(services.live.follow(owner, any_job_id(), "", time.monotonic() + LONG)) == []
    assert shown(services.live.follow("somebody else", job_id, "", time.monotonic() + LONG)) == []


def test_a_follower_leaves_a_result_that_is_not_kept_for_its_caller_to_take(
    services: Services, router: Router, generate: dict[str, Any], redis_url: str, db: redis.Redis
):
    job_id = router.post("/v1/jobs", generate | {"store": False}).json["id"]
    hand = Hand(redis_url)
    hand.emit("a")
    hand.finish("secret")
    owner = str(db.hget(KEYS.job(job_id), "owner"))
    *_, last = services.live.follow(owner, job_id, "", time.monotonic() + LONG)
    assert isinstance(last, Record)
    assert last.job.result == "secret"
    assert db.exists(KEYS.events(job_id))
    assert router.get(f"/v1/jobs/{job_id}").json["result"] == "secret"
    assert not db.exists(KEYS.events(job_id))
