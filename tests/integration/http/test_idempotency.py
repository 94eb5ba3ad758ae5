"""Idempotency-Key: a request sent again is the same job; a key used for another body is refused."""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.conftest import MakeToken, Router
from tests.integration.conftest import BuildRouter
from tests.integration.in_redis import KEYS, everything, stored_jobs
from tests.integration.submissions import with_key
from tests.integration.worker.worker_hand import begin_job, finish_job

# The same again


def test_the_same_request_twice_is_one_job(router: Router, generate: dict[str, Any], db: redis.Redis):
    first = router.post("/v1/jobs", generate, headers=with_key("order-7"))
    second = router.post("/v1/jobs", generate, headers=with_key("order-7"))
    assert (first.status, second.status) == (202, 202)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert second.json == first.json
    assert second.headers["location"] == first.headers["location"]
    assert second.headers["retry-after"] == first.headers["retry-after"]
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert stored_jobs(db) == 1


def test_a_repeat_changes_nothing_in_redis(router: Router, generate: dict[str, Any], db: redis.Redis):
    router.post("/v1/jobs", generate, headers=with_key("k"))
    before = everything(db)
    for _ in range(3):
        router.post("/v1/jobs", generate, headers=with_key("k"))
    assert everything(db) == before


def test_two_keys_are_two_jobs(router: Router, generate: dict[str, Any], db: redis.Redis):
    router.post("/v1/jobs", generate, headers=with_key("a"))
    router.post("/v1/jobs", generate, headers=with_key("b"))
    assert stored_jobs(db) == 2


def test_without_a_key_every_request_is_a_job(router: Router, generate: dict[str, Any], db: redis.Redis):
    router.post("/v1/jobs", generate)
    router.post("/v1/jobs", generate)
    assert stored_jobs(db) == 2
    assert not list(db.scan_iter("*:idem:*"))


@pytest.mark.parametrize(
    "again",
    [
        '{ "input" : { "prompt" : "hello" } ,\n "type" : "generate" }',
        '{"type":"generate","input":{"prompt":"\\u0068ello"}}',
        '{"type":"generate","input":{"prompt":"hello","max_tokens":256},"priority":"normal","ttl_seconds":300,"delay_seconds":0}',
        '{"type":"generate","input":{"prompt":"hello","system":null},"metadata":{}}',
    ],
    ids=["other spacing and order", "escaped", "defaults spelt out", "nothing said"],
)
def test_the_same_job_in_other_words_is_the_same_job(router: Router, again: str):
    job = {"type": "generate", "input": {"prompt": "hello"}}
    first = router.post("/v1/jobs", job, headers=with_key("k"))
    second = router.post("/v1/jobs", again, headers=with_key("k"))
    assert second.status == 202
    assert second.json["id"] == first.json["id"]


# Another body


@pytest.mark.parametrize(
    "other",
    [
        {"input": {"prompt": "bye"}},
        {"input": {"prompt": "hello", "max_tokens": 255}},
        {"priority": "high"},
        {"ttl_seconds": 301},
        {"delay_seconds": 1},
        {"metadata": {"k": "v"}},
        {"type": "chat", "input": {"messages": [{"role": "user", "content": "hello"}]}},
    ],
    ids=["prompt", "max_tokens", "priority", "ttl", "delay", "metadata", "type"],
)
def test_another_body_under_a_used_key_is_422_and_changes_nothing(
    router: Router, generate: dict[str, Any], db: redis.Redis, other: dict[str, Any]
):
    router.post("/v1/jobs", generate, headers=with_key("k"))
    before = everything(db)
    reply = router.post("/v1/jobs", generate | other, headers=with_key("k"))
    assert reply.status == 422
    assert reply.json["type"] == "urn:problem-type:lambda-router:idempotency-key-reused"
    assert "errors" not in reply.json
    assert "ratelimit" in reply.headers
    assert everything(db) == before


def test_a_refused_job_does_not_use_its_key_up(router: Router, generate: dict[str, Any]):
    assert router.post("/v1/jobs", generate | {"priority": "urgent"}, headers=with_key("k")).status == 422
    reply = router.post("/v1/jobs", generate, headers=with_key("k"))
    assert reply.status == 202
    assert "idempotency-replayed" not in reply.headers


# Keys


@pytest.mark.parametrize(
    "key",
    [
        "a",
        "8e03978e-40d5-43dd-bc93-6894a57f9324",
        "urn:order~7._-",
        "k" * 255,
        '"quoted"',
        '"with space, comma; and =?/!"',
        '"a \\"quote\\" and a \\\\"',
        '"' + "k" * 255 + '"',
        '"' + '\\"' * 255 + '"',
        "  padded  ",
    ],
    ids=["one", "uuid", "all marks", "255", "quoted", "quoted marks", "escapes", "255 quoted", "255 escaped", "padded"],
)
def test_a_usable_key_makes_one_job(router: Router, generate: dict[str, Any], db: redis.Redis, key: str):
    replies = [router.post("/v1/jobs", generate, headers=with_key(key)) for _ in range(2)]
    assert [reply.status for reply in replies] == [202, 202]
    assert replies[0].json["id"] == replies[1].json["id"]
    assert stored_jobs(db) == 1


def test_a_key_means_the_same_with_and_without_quotes(router: Router, generate: dict[str, Any], db: redis.Redis):
    router.post("/v1/jobs", generate, headers=with_key("k-1"))
    assert router.post("/v1/jobs", generate, headers=with_key('"k-1"')).headers["idempotency-replayed"] == "true"
    assert stored_jobs(db) == 1


@pytest.mark.parametrize(
    "key",
    ["", '""', "k" * 256, '"' + "k" * 256 + '"', "two words", '"open', 'open"', '"a"b"', '"a\\b"', "schlüssel", '"ü"',
     "a/b", "a,b", '"a\tb"', '"a\nb"', "'k'", '"a";p=1', ":YQ==:", "?1 "],
    ids=["empty", "empty quotes", "256", "256 quoted", "space", "not closed", "not opened", "quote inside",
         "bad escape", "not ASCII", "not ASCII quoted", "slash", "comma", "tab", "line break", "single quotes",
         "parameters", "byte sequence", "boolean"],
)  # fmt: skip
def test_an_unusable_key_is_400_and_stores_nothing(router: Router, generate: dict[str, Any], db: redis.Redis, key: str):
    reply = router.post("/v1/jobs", generate, headers=with_key(key))
    assert reply.status == 400, reply.body
    assert reply.json["type"] == "urn:problem-type:lambda-router:malformed-request"
    assert "Idempotency-Key" in reply.json["detail"]
    assert not list(db.scan_iter())


def test_a_key_belongs_to_its_caller(router: Router, make_token: MakeToken, generate: dict[str, Any], db: redis.Redis):
    bob = router.as_caller(make_token("bob"))
    first = router.post("/v1/jobs", generate, headers=with_key("k"))
    second = bob.post("/v1/jobs", generate | {"priority": "low"}, headers=with_key("k"))
    assert second.status == 202
    assert "idempotency-replayed" not in second.headers
    assert second.json["id"] != first.json["id"]
    assert stored_jobs(db) == 2


# Later


def _completed(router: Router, redis_url: str, job: dict[str, Any]) -> None:
    finish_job(redis_url, result={"text": "HELLO"})


def _failed(router: Router, redis_url: str, job: dict[str, Any]) -> None:
    finish_job(redis_url, error={"code": "context_too_long", "message": "Too long."})


def _cancelled(router: Router, redis_url: str, job: dict[str, Any]) -> None:
    assert router.delete(f"/v1/jobs/{job['id']}").status == 200


def _in_progress(router: Router, redis_url: str, job: dict[str, Any]) -> None:
    begin_job(redis_url)


def _expired(router: Router, redis_url: str, job: dict[str, Any]) -> None:
    with redis.Redis.from_url(redis_url) as db:
        db.hset(KEYS.job(job["id"]), "deadline_at", 1_700_000_000_000)


type Fate = Callable[[Router, str, dict[str, Any]], None]


@pytest.mark.parametrize("fate", [_completed, _failed, _cancelled, _in_progress, _expired])
def test_a_repeat_shows_the_job_as_it_now_stands(router: Router, redis_url: str, db: redis.Redis, fate: Fate):
    job = {"type": "generate", "input": {"prompt": "hello"}, "metadata": {"order": "7"}}
    first = router.post("/v1/jobs", job, headers=with_key("k"))
    fate(router, redis_url, first.json)
    again = router.post("/v1/jobs", job, headers=with_key("k"))
    assert again.status == 202
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json["status"] == fate.__name__.removeprefix("_")
    assert again.json == router.get(first.headers["location"]).json
    assert (again.json["metadata"], again.json["request_id"]) == ({"order": "7"}, first.headers["x-request-id"])


def test_a_key_is_remembered_for_its_time(build_router: BuildRouter, generate: dict[str, Any], db: redis.Redis):
    router = build_router(ROUTER_IDEMPOTENCY_SECONDS="3600")
    router.post("/v1/jobs", generate, headers=with_key("k"))
    [key] = db.scan_iter("*:idem:*")
    assert 3_590_000 < db.pttl(key) <= 3_600_000


def test_a_forgotten_key_makes_a_new_job(router: Router, generate: dict[str, Any], db: redis.Redis):
    first = router.post("/v1/jobs", generate, headers=with_key("k"))
    [key] = db.scan_iter("*:idem:*")
    db.pexpire(key, 0)
    second = router.post("/v1/jobs", generate, headers=with_key("k"))
    assert second.status == 202
    assert second.json["id"] != first.json["id"]


@pytest.mark.parametrize("fate", [_completed, _cancelled, _in_progress])
def test_a_record_lives_as_long_as_the_key_that_names_it(
    build_router: BuildRouter, redis_url: str, db: redis.Redis, generate: dict[str, Any], fate: Fate
):
    router = build_router(ROUTER_STORE_RESULT_SECONDS="60", ROUTER_IDEMPOTENCY_SECONDS="7200")
    job = router.post("/v1/jobs", generate, headers=with_key("k")).json
    fate(router, redis_url, job)
    [key] = db.scan_iter("*:idem:*")
    assert db.pexpiretime(KEYS.job(job["id"])) >= db.pexpiretime(key) - 1  # one clock tick between two commands


def test_a_key_whose_record_was_lost_is_503_and_never_a_second_job(
    router: Router, generate: dict[str, Any], db: redis.Redis
):
    job = router.post("/v1/jobs", generate, headers=with_key("k")).json
    db.delete(KEYS.job(job["id"]))
    reply = router.post("/v1/jobs", generate, headers=with_key("k"))
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) >= 1
    assert stored_jobs(db) == 1
