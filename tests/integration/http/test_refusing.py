"""POST /v1/jobs: what is refused, and what is just taken."""

import json
from typing import Any

import pytest
import redis

from chalicelib.job_settings import BodyLimits, InputLimits
from tests.conftest import Router
from tests.integration.answers import assert_problem
from tests.integration.in_redis import entries, everything

MAX_BODY_BYTES = BodyLimits().job
MAX_PROMPT_BYTES, MAX_CHAT_BYTES = InputLimits().prompt_bytes, InputLimits().chat_bytes

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
    "1,025 messages": (changed("/input/messages", CHAT["input"]["messages"] * 1_025, "chat"), "/input/messages"),
    "unknown role": (changed("/input/messages/0/role", "critic", "chat"), "/input/messages/0/role"),
    "empty content": (changed("/input/messages/0/content", "", "chat"), "/input/messages/0/content"),
    "unknown message member": (changed("/input/messages/0/nickname", "bob", "chat"), "/input/messages/0/nickname"),
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
    "1,024 messages": changed("/input/messages", CHAT["input"]["messages"] * 1_024, "chat"),
    "longest chat": changed("/input/messages", [{"role": "user", "content": "x" * (MAX_CHAT_BYTES - 30)}], "chat"),
}


@pytest.mark.parametrize("job", TAKEN.values(), ids=TAKEN.keys())
def test_a_job_at_its_limits_is_taken(router: Router, db: redis.Redis, job: dict[str, Any]):
    reply = router.post("/v1/jobs", job)
    assert reply.status == 202, reply.body
    assert reply.json["metadata"] == job.get("metadata", {})
    assert job["input"].items() <= entries(db)[0][1]["input"].items()


def test_a_body_of_exactly_1_mib_is_taken(router: Router, generate: dict[str, Any]):
    raw = json.dumps(generate).encode().ljust(MAX_BODY_BYTES)
    assert len(raw) == 1024 * 1024
    assert router.post("/v1/jobs", raw).status == 202


def test_one_byte_more_is_413(router: Router, generate: dict[str, Any], db: redis.Redis):
    raw = json.dumps(generate).encode().ljust(MAX_BODY_BYTES + 1)
    problem = assert_problem(router.post("/v1/jobs", raw), 413)
    assert problem["detail"] == "The body has 1048577 bytes; send at most 1048576."
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
