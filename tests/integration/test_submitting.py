"""POST /v1/jobs: what is taken, what is stored, what is refused."""

import json
import re
from datetime import datetime
from typing import Any

import pytest
import redis

from chalicelib.body import MAX_BODY_BYTES
from chalicelib.job_types import MAX_CHAT_BYTES, MAX_PROMPT_BYTES
from tests.conftest import Reply, Router
from tests.integration.conftest import BuildRouter, Lines
from tests.integration.helpers import KEYS, entries, every_text, everything, stored_jobs

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
        "result": None,
        "error": None,
        "metadata": {"order": "7"},
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
    [(entry_id, fields)] = db.xrange(KEYS.stream("normal"))
    assert fields.keys() == {"id", "job"}
    assert fields["id"] == job["id"]
    assert db.hget(KEYS.job(job["id"]), "stream_id") == entry_id


def test_every_key_expires_but_the_streams(router: Router, generate: dict[str, Any], db: redis.Redis):
    router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    for_ever = {key for key in db.scan_iter() if db.ttl(key) == -1}
    assert for_ever == {KEYS.stream("normal")}
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


# Refused


def assert_problem(reply: Reply, status: int) -> dict[str, Any]:
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = reply.json
    assert problem["status"] == status
    assert problem["instance"] == reply.headers["x-request-id"]
    assert problem["type"]
    assert problem["title"]
    return problem


NOT_JSON = {
    "nothing": b"",
    "words": b"hello",
    "cut off": b'{"type":"generate","input":{"prompt":"x"}',
    "two documents": b'{"type":"generate","input":{"prompt":"x"}} {}',
    "single quotes": b"{'type':'generate'}",
    "trailing comma": b'{"type":"generate","input":{"prompt":"x"},}',
    "comment": b'{"type":"generate","input":{"prompt":"x"}} // hi',
    "duplicate member": b'{"type":"generate","input":{"prompt":"x"},"type":"generate"}',
    "duplicate nested member": b'{"type":"generate","input":{"prompt":"x","prompt":"y"}}',
    "duplicate by escape": b'{"type":"generate","input":{"prompt":"x"},"\\u0074ype":"chat"}',
    "NaN": b'{"type":"generate","input":{"prompt":"x","temperature":NaN}}',
    "Infinity": b'{"type":"generate","input":{"prompt":"x","temperature":Infinity}}',
    "-Infinity": b'{"type":"generate","input":{"prompt":"x","temperature":-Infinity}}',
    "number beyond a double": b'{"type":"generate","input":{"prompt":"x","temperature":1e999}}',
    "number without end": b'{"type":"generate","input":{"prompt":"x","seed":' + b"9" * 5_000 + b"}}",
    "not UTF-8": b'{"type":"generate","input":{"prompt":"\xff"}}',
    "UTF-16": '{"type":"generate","input":{"prompt":"x"}}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"type":"generate","input":{"prompt":"x"}}',
    "half a surrogate pair": b'{"type":"generate","input":{"prompt":"\\ud800"}}',
    "raw control character": b'{"type":"generate","input":{"prompt":"\x01"}}',
    "too deep": b'{"type":"generate","input":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
}


@pytest.mark.parametrize("raw", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_not_strict_json_is_400_and_stores_nothing(router: Router, db: redis.Redis, raw: bytes):
    problem = assert_problem(router.post("/v1/jobs", raw), 400)
    assert problem["type"] == "urn:problem-type:lambda-router:malformed-request"
    assert not list(db.scan_iter())


def test_no_body_at_all_is_400(router: Router):
    assert_problem(router.post("/v1/jobs", None, headers={"Content-Type": "application/json"}), 400)


CHAT = {"type": "chat", "input": {"messages": [{"role": "user", "content": "x"}]}}


def changed(pointer: str, value: Any, kind: str = "generate") -> dict[str, Any]:
    """The smallest legal job with one member set otherwise."""
    job: dict[str, Any] = json.loads(
        json.dumps(CHAT if kind == "chat" else {"type": "generate", "input": {"prompt": "x"}, "metadata": {}})
    )
    *path, last = pointer.split("/")[1:]
    place: Any = job
    for step in path:
        place = place[int(step) if step.isdigit() else step]
    place[last] = value
    return job


REFUSED: dict[str, tuple[Any, str]] = {
    "array": ([], ""),
    "null": (None, ""),
    "string": ("job", ""),
    "no type": ({"input": {"prompt": "x"}}, "/type"),
    "unknown type": (changed("/type", "translate"), "/type"),
    "type is a list": (changed("/type", ["generate"]), "/type"),
    "no input": ({"type": "generate"}, "/input"),
    "input is null": (changed("/input", None), "/input"),
    "input is a string": (changed("/input", "x"), "/input"),
    "unknown member": (changed("/colour", "red"), "/colour"),
    "unknown input member": (changed("/input/best_of", 2), "/input/best_of"),
    "no prompt": (changed("/input", {}), "/input/prompt"),
    "empty prompt": (changed("/input/prompt", ""), "/input/prompt"),
    "prompt is a number": (changed("/input/prompt", 5), "/input/prompt"),
    "prompt one byte too long": (changed("/input/prompt", "x" * (MAX_PROMPT_BYTES + 1)), "/input/prompt"),
    "prompt too long in bytes": (changed("/input/prompt", "é" * (MAX_PROMPT_BYTES // 2) + "x"), "/input/prompt"),
    "empty system": (changed("/input/system", ""), "/input/system"),
    "max_tokens 0": (changed("/input/max_tokens", 0), "/input/max_tokens"),
    "max_tokens 4097": (changed("/input/max_tokens", 4_097), "/input/max_tokens"),
    "max_tokens as text": (changed("/input/max_tokens", "5"), "/input/max_tokens"),
    "max_tokens as fraction": (changed("/input/max_tokens", 5.5), "/input/max_tokens"),
    "max_tokens true": (changed("/input/max_tokens", True), "/input/max_tokens"),
    "temperature -0.1": (changed("/input/temperature", -0.1), "/input/temperature"),
    "temperature 2.1": (changed("/input/temperature", 2.1), "/input/temperature"),
    "top_p 1.1": (changed("/input/top_p", 1.1), "/input/top_p"),
    "five stops": (changed("/input/stop", list("abcde")), "/input/stop"),
    "no stops": (changed("/input/stop", []), "/input/stop"),
    "stop is empty": (changed("/input/stop", ["a", ""]), "/input/stop/1"),
    "seed -1": (changed("/input/seed", -1), "/input/seed"),
    "seed 2**31": (changed("/input/seed", 2**31), "/input/seed"),
    "priority urgent": (changed("/priority", "urgent"), "/priority"),
    "priority null": (changed("/priority", None), "/priority"),
    "ttl 9": (changed("/ttl_seconds", 9), "/ttl_seconds"),
    "ttl 86401": (changed("/ttl_seconds", 86_401), "/ttl_seconds"),
    "ttl as text": (changed("/ttl_seconds", "300"), "/ttl_seconds"),
    "metadata is a list": (changed("/metadata", []), "/metadata"),
    "metadata of 17 pairs": (changed("/metadata", {str(n): "v" for n in range(17)}), "/metadata"),
    "metadata value is a number": (changed("/metadata", {"k": 1}), "/metadata/k"),
    "metadata value of 513": (changed("/metadata", {"k": "v" * 513}), "/metadata/k"),
    "metadata name of 65": (changed("/metadata", {"k" * 65: "v"}), "/metadata/" + "k" * 65),
    "metadata name is empty": (changed("/metadata", {"": "v"}), "/metadata/"),
    "pointer is escaped": (changed("/metadata", {"a/b~c": 1}), "/metadata/a~1b~0c"),
    "no messages": (changed("/input/messages", [], "chat"), "/input/messages"),
    "65 messages": (changed("/input/messages", CHAT["input"]["messages"] * 65, "chat"), "/input/messages"),
    "role tool": (changed("/input/messages/0/role", "tool", "chat"), "/input/messages/0/role"),
    "empty content": (changed("/input/messages/0/content", "", "chat"), "/input/messages/0/content"),
    "unknown message member": (changed("/input/messages/0/name", "bob", "chat"), "/input/messages/0/name"),
    "chat too long": (changed("/input/messages/0/content", "x" * (MAX_CHAT_BYTES + 1), "chat"), "/input"),
    "prompt in a chat": (changed("/input/prompt", "x", "chat"), "/input/prompt"),
}


@pytest.mark.parametrize(("job", "pointer"), REFUSED.values(), ids=REFUSED.keys())
def test_a_job_that_its_model_refuses_is_422_with_a_pointer(router: Router, db: redis.Redis, job: Any, pointer: str):
    problem = assert_problem(router.post("/v1/jobs", json.dumps(job)), 422)
    assert problem["type"] == "urn:problem-type:lambda-router:invalid-job"
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert all(error["detail"] for error in problem["errors"])
    assert not list(db.scan_iter())


def test_every_fault_of_a_job_is_told_at_once(router: Router):
    job = {"type": "generate", "input": {"temperature": 3}, "priority": "urgent", "colour": "red"}
    problem = assert_problem(router.post("/v1/jobs", job), 422)
    pointers = {error["pointer"] for error in problem["errors"]}
    assert pointers == {"/input/prompt", "/input/temperature", "/priority", "/colour"}


def test_a_job_is_held_to_the_input_of_its_own_type(router: Router):
    problem = assert_problem(router.post("/v1/jobs", changed("/type", "chat")), 422)
    assert {error["pointer"] for error in problem["errors"]} == {"/input/messages", "/input/prompt"}


def test_a_long_value_is_not_echoed(router: Router):
    value = "secret-" * 100
    reply = router.post("/v1/jobs", changed("/priority", value))
    assert_problem(reply, 422)
    assert "secret-" not in reply.body


TAKEN: dict[str, dict[str, Any]] = {
    "longest prompt": changed("/input/prompt", "é" * (MAX_PROMPT_BYTES // 2)),
    "max_tokens 1": changed("/input/max_tokens", 1),
    "max_tokens 4096": changed("/input/max_tokens", 4_096),
    "temperature 2": changed("/input/temperature", 2),
    "four stops": changed("/input/stop", list("abcd")),
    "seed 2**31-1": changed("/input/seed", 2**31 - 1),
    "ttl 10": changed("/ttl_seconds", 10),
    "ttl 86400": changed("/ttl_seconds", 86_400),
    "16 pairs": changed("/metadata", {str(n): "v" for n in range(16)}),
    "longest pair": changed("/metadata", {"k" * 64: "💡" * 512}),
    "empty value": changed("/metadata", {"k": ""}),
    "64 messages": changed("/input/messages", CHAT["input"]["messages"] * 64, "chat"),
    "longest chat": changed("/input/messages/0/content", "x" * MAX_CHAT_BYTES, "chat"),
}


@pytest.mark.parametrize("job", TAKEN.values(), ids=TAKEN.keys())
def test_a_job_at_its_limits_is_taken(router: Router, db: redis.Redis, job: dict[str, Any]):
    reply = router.post("/v1/jobs", job)
    assert reply.status == 202, reply.body
    assert reply.json["metadata"] == job.get("metadata", {})
    assert job["input"].items() <= entries(db)[0][1]["input"].items()


def test_a_body_of_exactly_64_kib_is_taken(router: Router, generate: dict[str, Any]):
    raw = json.dumps(generate).encode().ljust(MAX_BODY_BYTES)
    assert len(raw) == 65_536
    assert router.post("/v1/jobs", raw).status == 202


def test_one_byte_more_is_413(router: Router, generate: dict[str, Any], db: redis.Redis):
    raw = json.dumps(generate).encode().ljust(MAX_BODY_BYTES + 1)
    problem = assert_problem(router.post("/v1/jobs", raw), 413)
    assert problem["detail"] == "The body has 65537 bytes; send at most 65536."
    assert not list(db.scan_iter())


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/problem+json",
        "application/json; charset=latin-1",
        "application/jsonx",
        "json",
    ],
    ids=["missing", "empty", "text", "form", "other json", "other charset", "longer", "bare"],
)
def test_a_body_that_is_not_sent_as_json_is_415(
    router: Router, generate: dict[str, Any], db: redis.Redis, content_type: str | None
):
    assert_problem(router.post("/v1/jobs", generate, headers={"Content-Type": content_type}), 415)
    assert not list(db.scan_iter())


@pytest.mark.parametrize("accept", ["text/html", "application/xml, text/*", "application/json;q=0", "image/png;q=1"])
def test_a_caller_that_takes_no_json_is_406_and_stores_nothing(
    router: Router, generate: dict[str, Any], db: redis.Redis, accept: str
):
    assert_problem(router.post("/v1/jobs", generate, headers={"Accept": accept}), 406)
    assert not list(db.scan_iter())


@pytest.mark.parametrize("header", ["Content-Type", "Idempotency-Key"])
def test_a_header_that_may_stand_once_is_400_when_repeated(
    router: Router, generate: dict[str, Any], db: redis.Redis, header: str
):
    problem = assert_problem(router.post("/v1/jobs", generate, headers={header: ["application/json"] * 2}), 400)
    assert problem["detail"].lower() == f"the header {header.lower()} was sent 2 times; send it once."
    assert not list(db.scan_iter())


def test_a_refused_job_changes_nothing_for_the_jobs_before_it(
    router: Router, generate: dict[str, Any], db: redis.Redis
):
    router.post("/v1/jobs", generate)
    before = everything(db)
    router.post("/v1/jobs", generate | {"priority": "urgent"})
    router.post("/v1/jobs", b"{")
    assert everything(db) == before
