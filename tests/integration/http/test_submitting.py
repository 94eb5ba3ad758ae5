"""POST /v1/jobs: what is taken, and what is stored of it."""

import json
import re
from datetime import datetime
from typing import Any

import pytest
import redis

from chalicelib import wiring
from chalicelib.jobs.job_types import JOB_TYPES, JobType, generate_input, registry
from tests.conftest import SCOPE, MakeToken, Router
from tests.integration.answers import assert_problem
from tests.integration.conftest import BuildRouter, Lines
from tests.integration.in_redis import KEYS, entries, every_text, stored_jobs

JOB_ID = re.compile(r"job_[0-9a-f]{32}")
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")
TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

FULL_GENERATE = {
    "prompt": 'Grüße aus 東京 🗼 "quoted" \\ \t\u0000 end',
    "system": "Answer briefly.",
    "max_tokens": 17,
    "temperature": 0.7,
    "top_p": 0.25,
    "stop": ["\n\n", "END"],
    "seed": 42,
}
FULL_CHAT = {
    "messages": [
        {"role": "system", "content": "You are kind."},
        {"role": "user", "content": "Why is the sky blue? ☁"},
        {"role": "assistant", "content": "Rayleigh."},
        {"role": "user", "content": "More."},
    ],
    "max_tokens": 1,
    "temperature": 0.0,
    "top_p": 1.0,
    "stop": ["."],
    "seed": 0,
}


def milliseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


# Taken


def test_a_job_is_answered_202_with_where_and_when_to_look(router: Router, generate: dict[str, Any]):
    reply = router.post("/v1/jobs", generate)
    assert reply.status == 202
    assert reply.headers["location"] == f"/v1/jobs/{reply.json['id']}"
    assert reply.headers["retry-after"] == "1"
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"


def test_every_member_of_a_fresh_job_is_as_the_contract_says(router: Router):
    sent = {
        "type": "generate",
        "input": {"prompt": "hi"},
        "priority": "low",
        "ttl_seconds": 77,
        "metadata": {"order": "7"},
    }
    reply = router.post("/v1/jobs", sent)
    job = reply.json
    assert JOB_ID.fullmatch(job["id"])
    assert MOMENT.fullmatch(job["created_at"])
    assert MOMENT.fullmatch(job["expires_at"])
    assert milliseconds(job["expires_at"]) - milliseconds(job["created_at"]) == 77_000
    assert job == {
        "id": job["id"],
        "object": "job",
        "type": "generate",
        "queue": "tinyllama",
        "status": "queued",
        "priority": "low",
        "created_at": job["created_at"],
        "started_at": None,
        "finished_at": None,
        "expires_at": job["expires_at"],
        "attempts": 0,
        "position": 1,
        "estimated_start_at": None,
        "result": None,
        "error": None,
        "last_error": None,
        "metadata": {"order": "7"},
        "store": True,
        "request_id": reply.headers["x-request-id"],
    }


def test_what_is_answered_is_what_is_read_later(router: Router, generate: dict[str, Any]):
    reply = router.post("/v1/jobs", generate | {"metadata": {"a": "ä"}})
    assert router.get(reply.headers["location"]).json == reply.json


def test_left_out_members_have_the_documented_defaults(router: Router, generate: dict[str, Any]):
    job = router.post("/v1/jobs", generate).json
    assert (job["priority"], job["metadata"]) == ("normal", {})
    assert milliseconds(job["expires_at"]) - milliseconds(job["created_at"]) == 300_000


@pytest.mark.parametrize("stage", ["/prod", "/api/v2", ""], ids=["stage", "base path", "neither"])
def test_location_is_the_path_as_the_caller_sees_it(router: Router, generate: dict[str, Any], stage: str):
    reply = router.post("/v1/jobs", generate, stage=stage)
    assert reply.headers["location"] == f"{stage}/v1/jobs/{reply.json['id']}"


def test_rate_headers_tell_policy_and_what_is_left(build_router: BuildRouter, generate: dict[str, Any]):
    router = build_router(ROUTER_RATE_PER_MINUTE="20", ROUTER_RATE_BURST="5")
    replies = [router.post("/v1/jobs", generate) for _ in range(3)]
    assert {reply.headers["ratelimit-policy"] for reply in replies} == {'"rate";q=20;w=60'}
    assert [reply.headers["ratelimit"] for reply in replies] == ['"rate";r=4;t=3', '"rate";r=3;t=6', '"rate";r=2;t=9']


def test_every_job_gets_an_id_of_its_own(router: Router, generate: dict[str, Any], db: redis.Redis):
    ids = {router.post("/v1/jobs", generate).json["id"] for _ in range(20)}
    assert len(ids) == 20
    assert {envelope["id"] for _, envelope in entries(db)} == ids


@pytest.mark.parametrize("priority", ["high", "normal", "low"])
def test_a_job_waits_in_the_stream_of_its_priority(
    router: Router, generate: dict[str, Any], db: redis.Redis, priority: str
):
    job = router.post("/v1/jobs", generate | {"priority": priority}).json
    assert job["priority"] == priority
    assert [envelope["id"] for _, envelope in entries(db, priority)] == [job["id"]]
    assert stored_jobs(db) == 1


@pytest.mark.parametrize(("kind", "given"), [("generate", FULL_GENERATE), ("chat", FULL_CHAT)])
def test_the_envelope_holds_every_member_and_the_input_as_sent(
    router: Router, db: redis.Redis, kind: str, given: dict[str, Any]
):
    before = db.time()
    reply = router.post("/v1/jobs", {"type": kind, "input": given, "ttl_seconds": 10, "metadata": {"k": "vé"}})
    after = db.time()
    assert reply.status == 202, reply.body
    [(_, envelope)] = entries(db)
    assert before[0] * 1000 + before[1] // 1000 <= envelope["created_at"] <= after[0] * 1000 + after[1] // 1000
    assert envelope == {
        "v": 1,
        "id": reply.json["id"],
        "type": kind,
        "queue": "tinyllama",
        "input": given,
        "owner": envelope["owner"],
        "priority": "normal",
        "created_at": milliseconds(reply.json["created_at"]),
        "deadline_at": envelope["created_at"] + 10_000,
        "metadata": {"k": "vé"},
        "request_id": reply.headers["x-request-id"],
        "traceparent": envelope["traceparent"],
        "timeout_ms": 300_000,
        "retry": {"attempts": 3, "first_delay_ms": 2_000, "longest_delay_ms": 60_000},
    }


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"prompt": "p"}, {"prompt": "p", "max_tokens": 256}),
        ({"prompt": "p", "system": None, "seed": None}, {"prompt": "p", "max_tokens": 256}),
        ({"prompt": "p", "temperature": 1}, {"prompt": "p", "max_tokens": 256, "temperature": 1.0}),
    ],
    ids=["max_tokens has a default", "null is unset", "whole number for a fraction"],
)
def test_the_input_is_completed_by_documented_defaults_only(
    router: Router, db: redis.Redis, given: dict[str, Any], stored: dict[str, Any]
):
    assert router.post("/v1/jobs", {"type": "generate", "input": given}).status == 202
    assert entries(db)[0][1]["input"] == stored


def test_an_entry_has_the_id_beside_the_envelope_and_the_record_names_the_entry(
    router: Router, generate: dict[str, Any], db: redis.Redis
):
    job = router.post("/v1/jobs", generate).json
    [(entry_id, fields)] = db.xrange(KEYS.stream("normal", 0))
    assert fields.keys() == {"id", "job"}
    assert fields["id"] == job["id"]
    assert db.hget(KEYS.job(job["id"]), "stream_id") == entry_id


def test_every_key_expires_but_the_streams_and_the_queues_counters(
    router: Router, generate: dict[str, Any], db: redis.Redis
):
    router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    for_ever = {key for key in db.scan_iter() if db.ttl(key) == -1}
    assert for_ever == {KEYS.stream("normal", 0), KEYS.flow}
    assert all(key.startswith("lr:{tinyllama}:") for key in db.scan_iter())


def test_a_record_outlives_its_deadline_by_the_storage_time(
    build_router: BuildRouter, generate: dict[str, Any], db: redis.Redis
):
    router = build_router(ROUTER_STORE_RESULT_SECONDS="600", ROUTER_IDEMPOTENCY_SECONDS="60")
    job = router.post("/v1/jobs", generate | {"ttl_seconds": 100}).json
    assert 699_000 < db.pttl(KEYS.job(job["id"])) <= 700_000


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"'],
)
def test_json_in_utf8_is_taken_however_its_type_is_spelt(router: Router, generate: dict[str, Any], content_type: str):
    assert router.post("/v1/jobs", generate, headers={"Content-Type": content_type}).status == 202


@pytest.mark.parametrize("accept", ["application/json", "*/*", "application/*", "text/html, application/json;q=0.5"])
def test_any_accept_that_takes_json_is_served(router: Router, generate: dict[str, Any], accept: str):
    assert router.post("/v1/jobs", generate, headers={"Accept": accept}).status == 202


# Job types


def test_a_job_type_may_have_a_queue_of_its_own(
    environ: dict[str, str], router: Router, generate: dict[str, Any], db: redis.Redis
):
    special = JobType(name="special", input_model=generate_input, queue="big-gpu")
    with wiring.use(wiring.build(environ, registry(special, *JOB_TYPES.values()))):
        job = router.post("/v1/jobs", generate | {"type": "special"}).json
        other = router.post("/v1/jobs", generate).json
        assert (job["queue"], other["queue"]) == ("big-gpu", "tinyllama")
        assert db.xlen("lr:{big-gpu}:jobs:normal:0") == 1
        assert db.xlen(KEYS.stream("normal", 0)) == 1
        assert router.get(f"/v1/jobs/{job['id']}").json == job
        assert {listed["id"] for listed in router.get("/v1/jobs").json["data"]} == {job["id"], other["id"]}
        assert router.delete(f"/v1/jobs/{job['id']}").json["status"] == "cancelled"


def test_a_job_type_may_ask_for_a_scope_of_its_own(
    environ: dict[str, str], router: Router, make_token: MakeToken, generate: dict[str, Any], db: redis.Redis
):
    special = JobType(name="special", input_model=generate_input, scope="lambda-router/special")
    privileged = router.as_caller(make_token(scope=f"{SCOPE} lambda-router/special"))
    with wiring.use(wiring.build(environ, registry(special))):
        refused = router.post("/v1/jobs", generate | {"type": "special"})
        taken = privileged.post("/v1/jobs", generate | {"type": "special"})
    assert_problem(refused, 403)
    assert 'scope="lambda-router/special"' in refused.headers["www-authenticate"]
    assert taken.status == 202
    assert stored_jobs(db) == 1


def test_the_queue_of_job_types_that_name_none_is_a_setting(
    build_router: BuildRouter, generate: dict[str, Any], db: redis.Redis
):
    assert build_router(ROUTER_QUEUE="llama-70b").post("/v1/jobs", generate).json["queue"] == "llama-70b"
    assert db.xlen("lr:{llama-70b}:jobs:normal:0") == 1


# Traces and tokens


def test_a_callers_trace_travels_with_its_job(router: Router, generate: dict[str, Any], db: redis.Redis):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    router.post("/v1/jobs", generate, headers={"traceparent": trace})
    assert entries(db)[0][1]["traceparent"] == trace


@pytest.mark.parametrize(
    "trace",
    [
        None,
        "",
        "nonsense",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\nX: y",
    ],
    ids=["none", "empty", "nonsense", "zero trace", "zero span", "capitals", "version ff", "too long", "line break"],
)
def test_a_new_trace_is_started_when_none_can_be_used(
    router: Router, generate: dict[str, Any], db: redis.Redis, trace: str | None
):
    assert router.post("/v1/jobs", generate, headers={"traceparent": trace}).status == 202
    started = entries(db)[0][1]["traceparent"]
    assert TRACEPARENT.fullmatch(started)
    assert started != trace


def test_two_started_traces_differ(router: Router, generate: dict[str, Any], db: redis.Redis):
    router.post("/v1/jobs", generate)
    router.post("/v1/jobs", generate)
    first, second = (envelope["traceparent"] for _, envelope in entries(db))
    assert first[3:35] != second[3:35]


def test_the_token_and_its_claims_never_reach_redis(router: Router, generate: dict[str, Any], db: redis.Redis):
    reply = router.post("/v1/jobs", generate, headers={"Idempotency-Key": "key-1"})
    router.get(reply.headers["location"])
    router.get("/v1/jobs")
    router.delete(reply.headers["location"])
    stored = every_text(db)
    assert reply.json["id"] in stored
    assert router.token is not None
    for part in (*router.token.split("."), "alice", "Bearer"):
        assert part not in stored


def test_no_log_line_holds_token_or_prompt(router: Router, log_lines: Lines):
    prompt = "a prompt that nobody should find in a log"
    reply = router.post("/v1/jobs", {"type": "generate", "input": {"prompt": prompt}, "metadata": {"m": "metadatum"}})
    router.post("/v1/jobs", {"type": "generate", "input": {"prompt": prompt, "temperature": 9}})
    router.get(reply.headers["location"])
    text = json.dumps(log_lines())
    assert reply.json["id"] in text
    assert router.token is not None
    for secret in (router.token, router.token.split(".")[2], prompt, "metadatum", "alice"):
        assert secret not in text
