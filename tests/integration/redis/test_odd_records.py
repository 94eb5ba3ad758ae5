"""What others wrote into Redis costs nobody else an answer: repaired, or left out and logged."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.conftest import Router
from tests.integration.in_redis import KEYS, expire
from tests.integration.worker.worker_hand import finish_job
from tests.log_secrets import PLANTED
from tests.unit.conftest import log_lines

__all__ = ["log_lines"]

type Lines = Callable[[], list[dict[str, Any]]]

FLOW = ["abc", "", "-7", "1e300", "nan", "inf", "9" * 400, "1.5", "\N{ARABIC-INDIC DIGIT ONE}"]
#: Every field of the queue's figures that a script reads or adds to.
FIGURES = [
    "added:4", "left:4", "service_ms", "gap_ms", "finished_at", "slots", "slots_at", "depth", "depth_added", "depth_at",
    "longest_life", "turn", "turn:2", "released", "completed", "failed", "cancelled", "expired",
]  # fmt: skip
ODD = {
    "words": "abc", "empty": "", "minus one": "-1", "not a number": "nan", "infinite": "inf", "too large": "1e400",
    "as large as integers are": str(2**63 - 1), "four hundred digits": "9" * 400, "a fraction": "1.5",
    "spaces": " 7 ", "two lines": "7\n7",
}  # fmt: skip
#: Field → odd value → what is shown of the field.
REPAIRED: dict[str, tuple[str, str, str, Any]] = {
    "attempts": ("attempts", "many", "attempts", 0),
    "negative attempts": ("attempts", "-3", "attempts", 0),
    "started at": ("started_at", "then", "started_at", None),
    "finished at": ("finished_at", "9" * 30, "finished_at", None),
    "metadata": ("metadata", f"[{PLANTED}", "metadata", {}),
    "metadata of numbers": ("metadata", '{"a": 1}', "metadata", {}),
    "metadata nested deep": ("metadata", "[" * 100_000, "metadata", {}),
    "place": ("seq", "x", "position", None),
    "due": ("due", "x", "estimated_start_at", None),
    "deadline": ("deadline_at", "9" * 30, "status", "expired"),
}
LEFT_OUT = {
    "status": PLANTED, "priority": PLANTED, "created_at": PLANTED, "id": PLANTED,
}  # fmt: skip


@pytest.mark.parametrize("value", FLOW, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize("field", ["service_ms", "slots", "slots_at", "left:4", "added:4"])
def test_an_odd_figure_of_the_queue_costs_nobody_an_answer(
    field: str, value: str, router: Router, location: str, db: redis.Redis, log_lines: Lines
) -> None:
    db.hset(KEYS.flow, field, value)

    for path in (location, "/v1/jobs"):
        reply = router.get(path)
        assert reply.status == 200, reply.body


def test_an_odd_figure_is_logged_by_its_name(router: Router, location: str, db: redis.Redis, log_lines: Lines) -> None:
    db.hset(KEYS.flow, "service_ms", PLANTED)
    router.get(location)

    [line] = [line for line in log_lines() if line["message"] == "odd_figure"]
    assert (line["field"], PLANTED in json.dumps(line)) == ("service_ms", False)


@pytest.mark.parametrize(("field", "value", "shown", "repaired"), REPAIRED.values(), ids=REPAIRED)
def test_an_odd_field_is_repaired(
    field: str, value: str, shown: str, repaired: Any, router: Router, location: str, db: redis.Redis
) -> None:
    db.hset(KEYS.job(location.rpartition("/")[2]), field, value)

    one, listed = router.get(location), router.get("/v1/jobs")

    assert (one.status, listed.status) == (200, 200), one.body + listed.body
    assert one.json[shown] == listed.json["data"][0][shown] == repaired


@pytest.mark.parametrize(("field", "value"), LEFT_OUT.items(), ids=LEFT_OUT)
def test_a_record_that_cannot_be_repaired_is_left_out_and_logged(
    field: str, value: str, router: Router, location: str, generate: dict[str, Any], db: redis.Redis, log_lines: Lines
) -> None:
    other = router.post("/v1/jobs", generate).json["id"]
    db.hset(KEYS.job(location.rpartition("/")[2]), field, value)

    assert [job["id"] for job in router.get("/v1/jobs").json["data"]] == [other]
    assert router.get(location).status == 404
    lines = [line for line in log_lines() if line["message"] == "unreadable_record"]
    assert lines
    assert PLANTED not in json.dumps(lines)


@pytest.mark.parametrize(
    ("member", "score"), [(PLANTED, 1e12), ("job_" + "0" * 32, float("inf")), ("job_" + "0" * 32, -5)]
)
def test_an_odd_entry_of_a_callers_list_is_passed_over(
    member: str, score: float, router: Router, location: str, db: redis.Redis
) -> None:
    [key] = db.scan_iter("*:owner:*")
    db.zadd(key, {member: score})

    reply = router.get("/v1/jobs", query={"limit": ["1"]})

    assert reply.status == 200, reply.body
    assert [f"/v1/jobs/{job['id']}" for job in reply.json["data"]] == [location]


def live_one_job(router: Router, generate: dict[str, Any], redis_url: str) -> None:
    """One job of each end, one that waits first, and a list: whatever callers and workers do to a queue."""
    assert router.post("/v1/jobs", generate | {"delay_seconds": 60}).status == 202
    for end in ("completed", "failed", "cancelled", "expired"):
        reply = router.post("/v1/jobs", generate)
        assert reply.status == 202, reply.body
        where = reply.headers["location"]
        match end:
            case "completed":
                finish_job(redis_url, result=1)
            case "failed":
                finish_job(redis_url, error={"code": "c", "message": "m"})
            case "cancelled":
                assert router.delete(where).status == 200
            case "expired":
                with redis.Redis.from_url(redis_url) as db:
                    expire(db, where)
        found = router.get(where)
        assert (found.status, found.json["status"]) == (200, end), found.body
    assert router.get("/v1/jobs").status == 200


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
@pytest.mark.parametrize("field", FIGURES)
def test_an_odd_figure_keeps_nobody_from_the_queue(
    field: str, value: str, router: Router, generate: dict[str, Any], redis_url: str, db: redis.Redis
) -> None:
    live_one_job(router, generate, redis_url)
    db.hset(KEYS.flow, field, value)
    live_one_job(router, generate, redis_url)
    live_one_job(router, generate, redis_url)


@pytest.mark.parametrize("value", [*ODD.values(), b"\xff"], ids=repr)
def test_an_odd_rate_keeps_its_caller_from_nothing(
    value: str | bytes, metered: Router, generate: dict[str, Any], db: redis.Redis
) -> None:
    metered.post("/v1/jobs", generate)
    [key] = db.scan_iter("*:rate:*")
    db.set(key, value)

    # What is later than a full burst counts as a full burst; what is no time counts as nothing.
    assert metered.post("/v1/jobs", generate).status in {202, 429}
    assert 0 < db.pttl(key) <= 5 * 60_000 / 20


@pytest.mark.parametrize("value", ["x y", "x", "", "job_" + "0" * 32 + " y", b"\xff \xfe"], ids=repr)
def test_an_odd_idempotency_key_is_no_500(
    value: str | bytes, router: Router, generate: dict[str, Any], db: redis.Redis
) -> None:
    key = {"Idempotency-Key": "k"}
    router.post("/v1/jobs", generate, headers=key)
    router.post("/v1/jobs/batch", {"jobs": [generate, generate]}, headers=key)
    for stored in db.scan_iter("*:idem:*"):
        db.set(stored, value)

    assert router.post("/v1/jobs", generate, headers=key).status != 500
    batch = router.post("/v1/jobs/batch", {"jobs": [generate, generate]}, headers=key)
    assert batch.status == 200, batch.body


def test_what_is_no_utf8_spoils_the_entry_that_it_stands_in_alone(
    router: Router, location: str, redis_url: str, log_lines: Lines
) -> None:
    job_id = location.rpartition("/")[2]
    with redis.Redis.from_url(redis_url) as raw:
        [key] = raw.scan_iter("*:owner:*")
        raw.zadd(key, {b"\xff\xfe": 1e12})
        raw.hset(KEYS.flow, b"service_ms", b"\xff")

    for query in ({}, {"status": ["queued"]}):
        reply = router.get("/v1/jobs", query=query)
        assert (reply.status, [job["id"] for job in reply.json["data"]]) == (200, [job_id])
    assert {"odd_entries", "odd_figure"} <= {line["message"] for line in log_lines()}
