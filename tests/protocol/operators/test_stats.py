"""What an operator sees of a queue: ``lambda-router-worker stats``."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from lambda_router_worker.operations.queue_stats import MOST_WORKERS
from tests.protocol.conftest import QUEUE, Callers, Hand
from tests.protocol.operators.letters import bury


def test_stats_of_an_empty_queue_are_all_zero(command: Any, queue: Callers, hand: Hand) -> None:
    figures = json.loads(command("stats", "--json").output)

    assert figures["priorities"]["normal"] == {"waiting": 0, "running": 0, "oldest_seconds": None}
    assert (figures["scheduled"], figures["dead"], figures["workers"], figures["per_minute"]) == (0, 0, 0, None)


def test_stats_count_what_waits_runs_is_delayed_and_dead(command: Any, queue: Callers, hand: Hand) -> None:
    bury(queue, hand)
    queue.send(count=3, priority="high")
    queue.send(delay_seconds=60)
    hand.begin()
    hand.call("complete", hand.begin(), "1")
    hand.call("beat", 4)

    figures = json.loads(command("stats", "--json").output)

    assert figures["priorities"]["high"]["waiting"] == 1
    assert figures["priorities"]["high"]["running"] == 1
    assert figures["priorities"]["high"]["oldest_seconds"] >= 0
    assert (figures["scheduled"], figures["dead"]) == (1, 1)
    assert (figures["workers"], figures["slots"], figures["completed"]) == (1, 4, 1)


def test_stats_count_completed_and_failed_jobs_apart(command: Any, queue: Callers, hand: Hand) -> None:
    bury(queue, hand)
    queue.send(count=2)
    hand.call("complete", hand.begin(), "1")
    hand.call("fail", hand.begin(), '{"code": "no", "message": "No."}')

    figures = json.loads(command("stats", "--json").output)

    assert (figures["completed"], figures["failed"]) == (1, 2)


@pytest.mark.parametrize("value", ["abc", "", "-1", "nan", "1e400", "9" * 400, "1.5"])
def test_stats_of_figures_that_somebody_overwrote(
    command: Any, queue: Callers, hand: Hand, db: Any, value: str
) -> None:
    queue.send_one()
    hand.call("complete", hand.begin(), '"done"')
    for field in ("completed", "failed", "gap_ms", "finished_at", "service_ms", "slots", "added:4", "left:4"):
        db.hset(QUEUE.flow, field, value)

    shown = command("stats", "--json")

    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["queue"] == QUEUE.queue


def test_stats_count_what_was_given_back_as_waiting(command: Any, queue: Callers, hand: Hand) -> None:
    queue.send(count=2)
    hand.begin()
    assert hand.call("give_back", hand.begin(), "untouched") == "given back"

    normal = json.loads(command("stats", "--json").output)["priorities"]["normal"]

    assert (normal["waiting"], normal["running"]) == (1, 1)
    assert normal["oldest_seconds"] >= 0


def test_stats_show_a_worker_that_claims_nothing_and_why(command: Any, queue: Callers, hand: Hand) -> None:
    hand.call("beat", 4, "status 401")

    figures = json.loads(command("stats", "--json").output)

    assert (figures["workers"], figures["slots"]) == (1, 0)
    assert list(figures["closed"].values()) == ["status 401"]
    assert "status 401" in command("stats").output

    hand.call("beat", 4)

    figures = json.loads(command("stats", "--json").output)
    assert (figures["workers"], figures["slots"], figures["closed"]) == (1, 4, {})


def figures_of(command: Any) -> dict[str, Any]:
    shown = command("stats", "--json")
    assert shown.exit_code == 0, shown.output
    figures: dict[str, Any] = json.loads(shown.stdout)
    return figures


def test_stats_list_each_living_worker_with_its_jobs(
    command: Any, queue: Callers, hand: Hand, hands: Callable[..., Hand]
) -> None:
    queue.send(count=4)
    other = hands("worker-2")
    hand.claim(2)
    other.claim(1)
    hand.call("beat", 4)
    other.call("beat", 2, "status 401")

    living = {each["consumer"]: each for each in figures_of(command)["living"]}

    assert {name: (each["slots"], each["running"], each["reason"]) for name, each in living.items()} == {
        "worker-1": (4, 2, None),
        "worker-2": (2, 1, "status 401"),
    }
    assert all(0 <= each["silent_seconds"] < 60 for each in living.values())


def test_stats_list_two_hundred_workers_and_count_all(command: Any, queue: Callers, hand: Hand, db: Any) -> None:
    now_ms = int(db.time()[0]) * 1000
    db.zadd(QUEUE.workers, {f"1 worker-{number}": now_ms + 5_000 for number in range(MOST_WORKERS + 5)})

    figures = figures_of(command)

    assert (figures["workers"], len(figures["living"])) == (MOST_WORKERS + 5, MOST_WORKERS)


WAYS_TO_FAIL: dict[str, tuple[Callable[[Hand], object], str]] = {
    "by its handler": (
        lambda hand: hand.call("fail", hand.begin(), '{"code": "too_long", "message": "No."}'),
        "too_long",
    ),
    "after its last attempt": (lambda hand: hand.call("retry", hand.begin(), 0, 1, "busy", "Busy."), "busy"),
    "unread": (lambda hand: hand.call("reject", hand.claim_one(), "alice", "unreadable", "?"), "unreadable"),
    "by a model server that broke": (lambda hand: hand.call("give_back", hand.begin(), "crashed"), "backend_crashed"),
}


@pytest.mark.parametrize(("fail", "code"), WAYS_TO_FAIL.values(), ids=WAYS_TO_FAIL.keys())
def test_a_job_that_fails_counts_under_its_code(
    command: Any, queue: Callers, hands: Callable[..., Hand], fail: Callable[[Hand], object], code: str
) -> None:
    hand = hands(max_deaths=1)
    queue.send_one()
    fail(hand)

    figures = figures_of(command)

    assert (figures["failed"], figures["failed_by_code"]) == (1, {code: 1})


def test_a_job_whose_record_is_gone_counts_under_its_code(command: Any, queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one()
    claim = hand.begin().claim
    db.delete(QUEUE.job(job_id))
    hand.start(claim)

    assert figures_of(command)["failed_by_code"] == {"abandoned": 1}


def test_an_outcome_sent_twice_counts_once(command: Any, queue: Callers, hand: Hand) -> None:
    queue.send_one()
    lease = hand.begin()
    for _ in range(2):
        hand.call("fail", lease, '{"code": "no", "message": "No."}')

    assert figures_of(command)["failed_by_code"] == {"no": 1}


def test_failed_jobs_of_more_codes_than_fifty_count_as_other(command: Any, queue: Callers, hand: Hand, db: Any) -> None:
    db.hset(QUEUE.flow, "failed_codes", 49)
    for code in ("a", "b", "a", "c"):
        queue.send_one()
        hand.call("fail", hand.begin(), json.dumps({"code": code, "message": "No."}))

    assert figures_of(command)["failed_by_code"] == {"a": 2, "other": 2}


@pytest.mark.parametrize("error", ["no json", "[1]", '{"code": 7}', '"text"', "{" * 5_000])
def test_an_error_without_a_code_is_counted_without_one(command: Any, queue: Callers, hand: Hand, error: str) -> None:
    """A worker in another language may write what it wants."""
    queue.send_one()
    assert hand.call("fail", hand.begin(), error) == "done"

    figures = figures_of(command)

    assert (figures["failed"], figures["failed_by_code"]) == (1, {})


def test_stats_count_dead_letters_by_code(command: Any, queue: Callers, hand: Hand, db: Any) -> None:
    bury(queue, hand)
    for _ in range(2):
        db.xadd(QUEUE.dead, {"id": "job_x", "code": "c" * 500, "job": "x"})
    db.xadd(QUEUE.dead, {"note": "nothing else"})

    figures = figures_of(command)

    assert figures["dead_by_code"] == {"c" * 64: 2, "": 1, "backend_busy": 1}
    assert (figures["dead"], figures["dead_counted"]) == (4, 4)
    assert "backend_busy 1" in command("stats").output


@pytest.mark.parametrize(
    ("letters", "size", "counted"), [(1_020, 10, 1_000), (40, 500_000, None)], ids=["many", "large"]
)
def test_stats_count_the_newest_dead_letters_and_tell_how_many(
    command: Any, queue: Callers, hand: Hand, db: Any, letters: int, size: int, counted: int | None
) -> None:
    for number in range(letters):
        db.xadd(QUEUE.dead, {"id": "job_x", "code": "old" if number < 5 else "new", "job": "x" * size})

    figures = figures_of(command)

    assert figures["dead"] == letters
    assert list(figures["dead_by_code"]) == ["new"]
    assert figures["dead_by_code"]["new"] == figures["dead_counted"]
    assert counted in (figures["dead_counted"], None)
    assert 8 <= figures["dead_counted"] < letters
    assert f"of the newest {figures['dead_counted']}" in command("stats").output


def test_stats_for_people_name_every_figure(command: Any, queue: Callers, hand: Hand) -> None:
    queue.send()

    text = command("stats").output

    for word in ("priority", "waiting", "running", "oldest", "high", "normal", "low", "scheduled", "dead", "workers"):
        assert word in text
