"""chalicelib.api.body: bytes become a job, or a refusal that points at what is wrong."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.api.body import parse_job, validate_job
from chalicelib.errors import InvalidJob, MalformedRequest, PayloadTooLarge, Problem, UnsupportedMediaType
from chalicelib.job_settings import BodyLimits
from chalicelib.jobs.job_types import JOB_TYPES

MAX_BODY_BYTES = BodyLimits().job
JSON = "application/json"
SMALLEST: dict[str, Any] = {"type": "generate", "input": {"prompt": "x"}}


def faults(document: Any) -> dict[str, str]:
    """Pointer → detail of a document that is refused."""
    with pytest.raises(InvalidJob) as refused:
        validate_job(document, JOB_TYPES)
    return {error["pointer"]: error["detail"] for error in refused.value.errors}


def test_bytes_become_the_job_and_its_type():
    job, job_type = parse_job(json.dumps(SMALLEST).encode(), JSON, JOB_TYPES)
    assert job_type is JOB_TYPES["generate"]
    assert job.input.prompt == "x"


@pytest.mark.parametrize(
    "content_type",
    [
        JSON,
        "Application/JSON",
        "application/json;charset=utf-8",
        "application/json; charset=UTF-8",
        'application/json; charset="utf-8"',
        " application/json ;",
    ],
)
def test_json_in_utf8_is_taken_however_it_is_spelt(content_type: str):
    job, _ = parse_job(json.dumps(SMALLEST).encode(), content_type, JOB_TYPES)
    assert job.type == "generate"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/jsonp",
        "application/json+x",
        "application/problem+json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json; charset=latin1",
        "application/json, text/plain",
    ],
)
def test_any_other_content_type_is_refused(content_type: str | None):
    with pytest.raises(UnsupportedMediaType, match="send 'application/json' in UTF-8"):
        parse_job(json.dumps(SMALLEST).encode(), content_type, JOB_TYPES)


def test_a_long_content_type_is_not_echoed_whole():
    with pytest.raises(UnsupportedMediaType) as refused:
        parse_job(b"{}", "x" * 5_000, JOB_TYPES)
    assert len(refused.value.detail) < 200


def padded(size: int) -> bytes:
    raw = json.dumps(SMALLEST).encode()
    return raw + b" " * (size - len(raw))


def test_a_body_of_1_mib_is_taken_and_one_byte_more_is_not():
    assert MAX_BODY_BYTES == 1_048_576
    assert parse_job(padded(MAX_BODY_BYTES), JSON, JOB_TYPES)
    with pytest.raises(PayloadTooLarge, match="1048577 bytes; send at most 1048576"):
        parse_job(padded(MAX_BODY_BYTES + 1), JSON, JOB_TYPES)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "EOF"),
        (b"{", "EOF"),
        (b"\xff", "byte 0 is not UTF-8"),
        (b'{"type": "generate", "type": "chat"}', "duplicate member 'type'"),
        (b'{"type": NaN}', "line 1"),
        (b"[" * 10_000, "recursion"),
    ],
    ids=["empty", "unfinished", "not UTF-8", "duplicate member", "NaN", "deep"],
)
def test_what_is_not_strict_json_is_malformed_and_says_why(raw: bytes, why: str):
    with pytest.raises(MalformedRequest, match="The body is not valid JSON") as refused:
        parse_job(raw, JSON, JOB_TYPES)
    assert why in refused.value.detail


@pytest.mark.parametrize("document", [None, True, 1, 1.5, "generate", [], [SMALLEST]], ids=repr)
def test_a_body_that_is_no_object_is_refused_as_a_whole(document: Any):
    assert faults(document) == {"": "must be an object"}


@pytest.mark.parametrize(
    ("type_", "found"),
    [
        ("Generate", '; found "Generate"'),
        ("", '; found ""'),
        (None, "; found null"),
        (1, "; found 1"),
        (True, "; found true"),
        (["generate"], ""),
        ({"a": 1}, ""),
        ("x" * 1_000, ""),
    ],
    ids=["other case", "empty", "null", "number", "boolean", "list", "object", "very long"],
)
def test_an_unknown_type_is_answered_with_those_there_are(type_: Any, found: str):
    assert faults(SMALLEST | {"type": type_}) == {"/type": f"must be one of chat, generate{found}"}


def test_a_missing_type_is_answered_with_those_there_are():
    assert faults({"input": {}}) == {"/type": "must be one of chat, generate; it is missing"}


USER = {"role": "user", "content": "x"}


def test_every_field_at_fault_is_pointed_at():
    document = {
        "type": "chat",
        "input": {"messages": [USER, {"role": "robot", "content": "x"}, USER | {"content": ""}], "top_p": 2},
        "ttl_seconds": 9,
        "colour": "red",
    }
    assert faults(document) == {
        "/input/messages/1/role": "must be one of 'system', 'developer', 'user', 'assistant', 'tool'; found \"robot\"",
        "/input/messages/2/content": 'string should have at least 1 character; found ""',
        "/input/top_p": "input should be less than or equal to 1; found 2",
        "/ttl_seconds": "input should be greater than or equal to 10; found 9",
        "/colour": "is not a member of this job type; remove it",
    }


def test_a_missing_member_is_pointed_at():
    assert faults({"type": "generate"}) == {"/input": "is required"}
    assert faults({"type": "generate", "input": {}}) == {"/input/prompt": "is required"}


@pytest.mark.parametrize(
    ("name", "pointer"),
    [
        ("plain", "/metadata/plain"),
        ("a/b~c", "/metadata/a~1b~0c"),
        ("", "/metadata/"),
        ("0", "/metadata/0"),
        ("[key]", "/metadata/[key]"),
    ],
    ids=["plain", "with slash and tilde", "empty", "number", "named as pydantic names keys"],
)
def test_a_pointer_is_escaped_as_rfc_6901_wants_it(name: str, pointer: str):
    assert pointer in faults(SMALLEST | {"metadata": {name: 5}})


def test_a_key_that_is_too_long_is_pointed_at_itself():
    key = "k" * 65
    assert faults(SMALLEST | {"metadata": {key: "v"}}).keys() == {f"/metadata/{key}"}


def test_a_long_value_is_not_echoed():
    prompt = "secret " * 1_000
    assert "secret" not in json.dumps(faults({"type": "generate", "input": {"prompt": prompt}}))


def test_a_refusal_of_very_many_members_stays_small():
    crowd = {f"k{number}": 0 for number in range(5_000)}
    assert len(json.dumps(crowd)) < MAX_BODY_BYTES
    assert len(json.dumps(faults(SMALLEST | crowd))) < MAX_BODY_BYTES


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
members = st.sampled_from(["type", "input", "priority", "ttl_seconds", "metadata", "x"])
inputs = st.sampled_from(["prompt", "system", "messages", "max_tokens", "temperature", "stop", "seed", "[key]"])
nearly_jobs = st.builds(
    lambda kind, inner, outer: {"type": kind, "input": inner} | outer,
    st.sampled_from(["generate", "chat"]),
    st.dictionaries(inputs, json_values),
    st.dictionaries(members, json_values),
)


@given(nearly_jobs | json_values)
def test_any_document_is_a_job_or_a_refusal_whose_pointers_lead_somewhere(document: Any):
    for pointer in pointers(document):
        assert_leads_into(document, pointer)


def pointers(document: Any) -> list[str]:
    """None for a job; at least one for a refusal."""
    try:
        validate_job(document, JOB_TYPES)
    except InvalidJob as refused:
        return [error["pointer"] for error in refused.errors] or pytest.fail("refused without saying where")
    return []


def assert_leads_into(document: Any, pointer: str) -> None:
    """Every step but the last, which may be the member that is missing, exists."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    for step in steps[:-1]:
        document = document[int(step)] if isinstance(document, list) else document[step]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_job_or_a_problem(raw: bytes):
    with pytest.raises(Problem):
        parse_job(raw, JSON, JOB_TYPES)
