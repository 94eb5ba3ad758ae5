"""What a handler returns or says: whether it can be stored, and reaches the caller through Lambda."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from lambda_router_queue.models import Envelope
from lambda_router_worker.outcomes import JobFailed
from lambda_router_worker.processing.results import MAX_RESULT_BYTES
from tests.conftest import Router
from tests.integration.conftest import Lines, ReadJob, Submit
from tests.integration.worker.worker_side import eventually_final, is_final, work_all

#: What Lambda passes back at most, by the words of its own error message.
LAMBDA_ANSWER_BYTES = 6_291_556


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


def loop() -> Any:
    value: list[Any] = []
    value.append({"again": value})
    return value


SECRET = "a word of the prompt"
#: What a handler returned, and what its caller and its author read of it.
NOT_JSON: dict[str, tuple[Any, str]] = {
    "set": ({1, 2}, "result is a set"),
    "bytes": (b"x", "result is a bytes"),
    "object": (object(), "result is an object"),
    "datetime inside": ({"items": [0, 1, 2, {"when": datetime.now(UTC)}]}, "result.items[3].when is a datetime"),
    "set in a member of any name": ({SECRET: {1}}, "result.… is a set"),
    "NaN": (float("nan"), "result is NaN or infinite"),
    "NaN inside": ({"a": [0, float("nan")]}, "result.a[1] is NaN or infinite"),
    "infinity": (float("inf"), "result is NaN or infinite"),
    "lone surrogate": (SECRET + "\ud800", "result has half a surrogate pair"),
    "lone surrogate in a name": ({"\udc00": 1}, "result has a key that has half a surrogate pair"),
    "endless": (nested(100_000), "…"),
    "holds itself": (loop(), "result[0].again[0].again"),
    "too deep to be read": (nested(600), "result[0][0]"),
    "tuple as a name": ({"a": ({(1, 2): 3},)}, "result.a[0] has a key of type tuple"),
    "number of 5000 digits": (10**5_000, "result is a number of too many digits"),
    "one beside what is deep": ({"deep": nested(150), "bad": {1}}, "result.bad is a set"),
}


@pytest.mark.parametrize(("result", "words"), NOT_JSON.values(), ids=NOT_JSON.keys())
def test_a_result_that_is_not_json_fails_the_job_and_is_told_where(
    redis_url: str, submit: Submit, read: ReadJob, log_lines: Lines, result: Any, words: str
):
    async def handler(job: Envelope) -> Any:
        return result

    job_id = submit()
    work_all(redis_url, handler, lambda: eventually_final(redis_url, job_id))
    job = read(job_id)
    assert job["status"] == "failed"
    assert job["error"]["code"] == "result_not_json"
    assert words in job["error"]["message"]
    assert len(job["error"]["message"]) < 300
    [line] = [line for line in log_lines() if line["message"] == "result"]
    assert (line["job_id"], line["reason"]) == (job_id, job["error"]["message"])
    assert SECRET not in json.dumps(log_lines()) + job["error"]["message"]


READABLE = {
    "unicode": "Grüße 東京 🗼 \u0000 \u2028",
    "large number": 10**300,
    "small number": 5e-324,
    "nested": nested(100),
    "number as a name": {1: "a"},
    "tuple": (1, 2),
}


@pytest.mark.parametrize("result", READABLE.values(), ids=READABLE.keys())
def test_a_result_that_json_can_hold_reaches_the_caller(redis_url: str, submit: Submit, read: ReadJob, result: Any):
    async def handler(job: Envelope) -> Any:
        return result

    job_id = submit()
    work_all(redis_url, handler, is_final(read, job_id))
    assert read(job_id)["result"] == json.loads(json.dumps(result))


@pytest.mark.parametrize("message", ["half \ud800", "control \u0000", "x" * 10_000, ""])
def test_a_failed_job_can_be_read_whatever_its_message(redis_url: str, submit: Submit, router: Router, message: str):
    async def handler(job: Envelope) -> Any:
        raise JobFailed("odd", message)

    job_id = submit()
    work_all(redis_url, handler, lambda: eventually_final(redis_url, job_id))
    reply = router.get(f"/v1/jobs/{job_id}")
    assert reply.status == 200
    assert reply.json["status"] == "failed"


@pytest.mark.parametrize(("length", "status"), [(MAX_RESULT_BYTES - 2, "completed"), (MAX_RESULT_BYTES - 1, "failed")])
def test_a_result_may_have_four_mebibytes(redis_url: str, submit: Submit, read: ReadJob, length: int, status: str):
    async def handler(job: Envelope) -> Any:
        return "x" * length

    job_id = submit()
    work_all(redis_url, handler, is_final(read, job_id))
    job = read(job_id)
    assert job["status"] == status
    if status == "failed":
        assert job["error"]["code"] == "result_too_large"
        assert str(MAX_RESULT_BYTES) in job["error"]["message"]


@pytest.mark.parametrize("text", ['"', "\\", "\n", "é", "x"], ids=["quote", "backslash", "line break", "é", "x"])
def test_the_largest_result_fits_through_lambda(redis_url: str, submit: Submit, router: Router, text: str):
    """The body stands in Lambda's answer as a JSON string: escapes are escaped again."""

    bytes_each = len(json.dumps(text, ensure_ascii=False).encode()) - 2

    async def handler(job: Envelope) -> Any:
        return text * ((MAX_RESULT_BYTES - 2) // bytes_each)

    job_id = submit()
    work_all(redis_url, handler, lambda: eventually_final(redis_url, job_id))
    reply = router.get(f"/v1/jobs/{job_id}")
    size = len(json.dumps({"body": reply.body}, ensure_ascii=False).encode())
    assert size <= LAMBDA_ANSWER_BYTES
