"""The few places for requests that the function holds until a job is final (``wait.lua``)."""

import time
from functools import partial
from typing import Any

import pytest

from chalicelib.jobs.redis_client import RedisClient, connect
from chalicelib.jobs.waits import WaitCaps, Waits
from chalicelib.limits import MAX_HOLD_SECONDS, MAX_STREAM_SECONDS
from tests.protocol.conftest import QUEUE

SOON = -2.9  # of a second after the margin of three that each place has
CAPS = WaitCaps(per_caller=2, all_callers=3)
HOUR_MS = 3_600_000


@pytest.fixture
def waits(db: Any, engine_url: str) -> Waits:
    return Waits(RedisClient(partial(connect, engine_url)), QUEUE, CAPS)


def held(db: Any) -> dict[str, int]:
    """Places taken in all, and by each caller."""
    keys = {"all": QUEUE.waits, "alice": QUEUE.callers_waits("alice"), "bob": QUEUE.callers_waits("bob")}
    return {name: db.zcard(key) for name, key in keys.items()}


def test_a_caller_has_so_many_places_and_no_more(waits: Waits, db: Any) -> None:
    assert [waits.take(name, "alice", 20) for name in "abc"] == ["taken", "taken", "caller"]
    assert held(db) == {"all": 2, "alice": 2, "bob": 0}


def test_all_callers_together_have_so_many(waits: Waits, db: Any) -> None:
    takers = [("a", "alice"), ("b", "alice"), ("c", "bob"), ("d", "bob"), ("e", "carol")]

    assert [waits.take(name, owner, 20) for name, owner in takers] == ["taken", "taken", "taken", "all", "all"]
    assert held(db) == {"all": 3, "alice": 2, "bob": 1}


def test_a_place_that_is_given_back_is_the_next_ones(waits: Waits, db: Any) -> None:
    for name in "ab":
        waits.take(name, "alice", 20)

    assert waits.give_back("a", "alice") == "freed"

    assert [waits.take(name, "alice", 20) for name in "cd"] == ["taken", "caller"]


def test_a_place_that_is_taken_twice_is_one(waits: Waits, db: Any) -> None:
    """A reply may be lost, and the question is then sent again."""
    assert [waits.take("a", "alice", 20) for _ in range(3)] == ["taken"] * 3
    assert held(db) == {"all": 1, "alice": 1, "bob": 0}


def test_a_place_that_is_given_back_twice_takes_nobody_elses(waits: Waits, db: Any) -> None:
    for name in "ab":
        waits.take(name, "alice", 20)
    for _ in range(2):
        waits.give_back("a", "alice")

    assert held(db) == {"all": 1, "alice": 1, "bob": 0}


def test_a_place_that_nobody_gives_back_is_free_by_itself(waits: Waits, db: Any) -> None:
    for name in "ab":
        waits.take(name, "alice", SOON)
    assert waits.take("c", "alice", SOON) == "caller"

    time.sleep(0.2)

    assert [waits.take(name, "alice", 20) for name in "cde"] == ["taken", "taken", "caller"]


def test_what_nobody_uses_any_more_is_deleted(waits: Waits, db: Any) -> None:
    waits.take("a", "alice", 20)
    for key in (QUEUE.waits, QUEUE.callers_waits("alice")):
        assert 0 < db.pttl(key) <= (MAX_HOLD_SECONDS + 3) * 1000

    waits.give_back("a", "alice")
    assert not [*db.scan_iter("*waits*")]


def test_places_of_before_the_clock_stepped_back_are_free_at_once(waits: Waits, db: Any) -> None:
    seconds, _ = db.time()
    for key in (QUEUE.waits, QUEUE.callers_waits("alice")):
        db.zadd(key, {f"old-{number}": seconds * 1000 + HOUR_MS for number in range(3)})

    assert [waits.take(name, "alice", 20) for name in "abc"] == ["taken", "taken", "caller"]


def test_no_place_at_all_is_a_setting(waits: Waits, db: Any, engine_url: str) -> None:
    redis = RedisClient(partial(connect, engine_url))

    assert Waits(redis, QUEUE, WaitCaps(0, 3)).take("a", "alice", 20) == "caller"
    assert Waits(redis, QUEUE, WaitCaps(2, 0)).take("a", "alice", 20) == "all"


def test_streams_are_counted_apart(waits: Waits, db: Any) -> None:
    for name in "ab":
        assert waits.take(name, "alice", 20) == "taken"
    assert [waits.take(name, "alice", 400, streamed=True) for name in "cde"] == ["taken", "taken", "caller"]
    assert waits.give_back("c", "alice", streamed=True) == "freed"
    assert (db.zcard(QUEUE.streams_held), db.zcard(QUEUE.callers_streams_held("alice"))) == (1, 1)
    assert held(db)["alice"] == 2


def test_a_place_of_a_stream_lasts_as_long_as_a_stream_can(waits: Waits, db: Any) -> None:
    waits.take("a", "alice", MAX_STREAM_SECONDS, streamed=True)
    assert waits.take("b", "alice", 20, streamed=True) == "taken"
    for key in (QUEUE.streams_held, QUEUE.callers_streams_held("alice")):
        assert db.zcard(key) == 2
        assert MAX_HOLD_SECONDS * 1000 < db.pttl(key) <= (MAX_STREAM_SECONDS + 3) * 1000
