"""lambda_router_queue.models: frozen shapes, and times as RFC 3339."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from lambda_router_queue.models import FINAL_STATUSES, Envelope, Job, JobError, JobPage, JobRequest, rfc3339

JOB: dict[str, Any] = {
    "id": "job_" + "0a" * 16,
    "type": "generate",
    "queue": "tinyllama",
    "status": "queued",
    "priority": "normal",
    "created_at": rfc3339(0),
    "expires_at": rfc3339(300_000),
    "request_id": "r",
}
ENVELOPE: dict[str, Any] = {
    "v": 1,
    "id": JOB["id"],
    "type": "generate",
    "queue": "tinyllama",
    "input": {"prompt": "x"},
    "owner": "o",
    "priority": "normal",
    "created_at": 0,
    "deadline_at": 300_000,
    "metadata": {},
    "request_id": "r",
    "traceparent": "t",
}


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (1_795_421_730_123, "2026-11-23T08:15:30.123Z"),
        (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
        (7_258_118_399_999, "2199-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_rfc_3339_in_utc_with_milliseconds(milliseconds: int, text: str):
    assert rfc3339(milliseconds) == text


@given(st.integers(0, 7_258_118_399_999))
def test_no_millisecond_is_lost_on_the_way_out(milliseconds: int):
    text = rfc3339(milliseconds)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    whole, part = text.removesuffix("Z").split(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    assert seconds * 1000 + int(part) == milliseconds


def test_a_job_that_nobody_has_started_has_no_times_no_result_and_no_error():
    job = Job(**JOB)
    assert job.object == "job"
    assert (job.started_at, job.finished_at, job.result, job.error, job.attempts) == (None, None, None, None, 0)


@pytest.mark.parametrize(
    "id_",
    ["", "job_", "job_" + "0" * 31, "job_" + "0" * 33, "job_" + "G" * 32, "JOB_" + "0" * 32, "job_" + "0" * 32 + "\n"],
)
def test_a_job_id_is_job_and_128_bit_in_lower_case_hex(id_: str):
    with pytest.raises(ValidationError, match="id"):
        Job(**JOB | {"id": id_})


@pytest.mark.parametrize("status", ["QUEUED", "pending", "", "done"])
def test_a_status_is_one_of_openais_words(status: str):
    with pytest.raises(ValidationError, match="status"):
        Job(**JOB | {"status": status})


def test_the_final_statuses_are_those_that_no_job_leaves():
    assert set(FINAL_STATUSES) == {"completed", "failed", "cancelled", "expired"}


@pytest.mark.parametrize(
    ("model", "members"),
    [
        (Job, JOB),
        (JobError, {"code": "c", "message": "m"}),
        (JobPage, {"data": [], "has_more": False, "next_cursor": None, "stopped_early": False}),
        (JobRequest, {"type": "generate", "input": {}}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_what_goes_out_and_comes_in_is_closed_and_frozen(model: type[BaseModel], members: dict[str, Any]):
    known = model(**members)
    with pytest.raises(ValidationError, match="Extra inputs"):
        model(**members, unknown=1)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(known, next(iter(members)), "other")


def test_an_envelope_of_a_newer_router_is_read_without_its_new_members():
    assert Envelope(**ENVELOPE, new_in_2027="x") == Envelope(**ENVELOPE)


@pytest.mark.parametrize("name", ENVELOPE)
def test_an_envelope_lacks_nothing(name: str):
    with pytest.raises(ValidationError, match=name):
        Envelope(**{other: value for other, value in ENVELOPE.items() if other != name})


def test_an_envelope_comes_through_json_unchanged():
    envelope = Envelope(**ENVELOPE | {"input": {"prompt": "ü\0", "n": [1, 2.5, None, {"a": True}]}})
    assert Envelope.model_validate_json(envelope.model_dump_json()) == envelope


def test_a_request_has_the_contracts_defaults():
    request = JobRequest(type="generate", input={})
    assert (request.priority, request.ttl_seconds, request.metadata) == ("normal", 300, {})
