"""chalicelib.jobs.job_types: every field of every type is taken at its bounds and refused just outside them."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from chalicelib.api.body import validate_job
from chalicelib.errors import InvalidJob
from chalicelib.jobs.admission import NewJob
from chalicelib.jobs.job_types import JOB_TYPES, JobType, registry
from lambda_router_queue.models import Closed

SMALLEST: dict[str, dict[str, Any]] = {
    "generate": {"type": "generate", "input": {"prompt": "x"}},
    "chat": {"type": "chat", "input": {"messages": [{"role": "user", "content": "x"}]}},
}

#: Of every type: pointer → (values just inside, values just outside).
SHARED: dict[str, tuple[list[Any], list[Any]]] = {
    "/priority": (["high", "normal", "low"], ["urgent", "", "High", 1, None]),
    "/ttl_seconds": ([10, 86_400], [9, 86_401, -1, 10.5, "300", True, None]),
    "/metadata": (
        [{}, {f"k{n}": "" for n in range(16)}, {"k" * 64: "v" * 512}, {"ü" * 64: "😀" * 512}],
        [{f"k{n}": "" for n in range(17)}, [], "x", None],
    ),
    "/metadata/k": (["", "v" * 512], ["v" * 513, 1, None, {}, True]),
    "/input/max_tokens": ([1, 4_096], [0, 4_097, -1, 1.5, "1", True, None]),
    "/input/temperature": ([0, 2, 0.0, 2.0, 0.7, None], [-0.001, 2.001, "1", True, []]),
    "/input/top_p": ([0, 1, 0.5, None], [-0.001, 1.001, "1", False]),
    "/input/stop": (
        [["a"], ["a", "b", "c", "d"], ["s" * 256], "a", "s" * 256, None],
        [[], ["a", "b", "c", "d", "e"], "", "s" * 257, {}],
    ),
    "/input/stop/0": (["s", "s" * 256, "ü" * 256], ["", "s" * 257, 1, None]),
    "/input/presence_penalty": ([-2, 2, 0.5, None], [-2.001, 2.001, "1"]),
    "/input/frequency_penalty": ([-2, 2, 0.5, None], [-2.001, 2.001, "1"]),
    "/input/seed": ([0, 2**31 - 1, None], [-1, 2**31, 1.5, "1", True]),
}
GENERATE: dict[str, tuple[list[Any], list[Any]]] = {
    "/input": ([{"prompt": "x"}], [[], "x", 1, None]),
    "/input/prompt": (
        ["x", "x" * 6_144, "ü" * 3_072],
        ["", "x" * 6_145, "ü" * 3_072 + "x", "😀" * 1_537, 1, None, ["x"]],
    ),
    "/input/system": (["x", "x" * 6_144, "ü" * 3_072, None], ["", "x" * 6_145, "ü" * 3_073, 1]),
}
CHAT: dict[str, tuple[list[Any], list[Any]]] = {
    "/input": ([{"messages": [{"role": "user", "content": "x"}]}], [[], "x", None]),
    "/input/messages": (
        [[{"role": "user", "content": "x"}], [{"role": "user", "content": "x"}] * 1_024],
        [[], [{"role": "user", "content": "x"}] * 1_025, "x", {}, None],
    ),
    "/input/messages/0": ([{"role": "user", "content": "x"}], ["x", [], None]),
    "/input/messages/0/role": (["system", "developer", "user", "assistant"], ["critic", "", "User", None, 1]),
    "/input/messages/0/content": (["x", "x" * 500_000, [{"type": "text", "text": "x"}]], ["", None, 1, [], {}]),
}


def cases(side: int) -> list[Any]:
    """Every value of one side of the tables, named by type, pointer and value."""
    tables = {"generate": SHARED | GENERATE, "chat": SHARED | CHAT}
    return [
        pytest.param(kind, pointer, value, id=f"{kind} {pointer} {brief(value)}")
        for kind, table in tables.items()
        for pointer, sides in table.items()
        for value in sides[side]
    ]


def brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 24 else f"{text[:16]}… ({len(value)})"


def with_value(kind: str, pointer: str, value: Any) -> dict[str, Any]:
    """The smallest legal job of that kind, with this value at that place."""
    first, *rest = pointer.split("/")[1:]
    return SMALLEST[kind] | {first: _put(SMALLEST[kind].get(first), rest, value)}


def _put(into: Any, steps: list[str], value: Any) -> Any:
    if not steps:
        return value
    if steps[0] == "0":
        return [_put(into[0] if into else None, steps[1:], value)]
    inner = into or {}
    return inner | {steps[0]: _put(inner.get(steps[0]), steps[1:], value)}


@pytest.mark.parametrize(("kind", "pointer", "value"), cases(0))
def test_a_value_just_inside_its_bounds_is_taken(kind: str, pointer: str, value: Any):
    job, job_type = validate_job(with_value(kind, pointer, value), JOB_TYPES)
    assert job_type.name == kind
    found: Any = job.model_dump(exclude_none=value is not None)
    for step in pointer.split("/")[1:]:
        found = found[int(step)] if isinstance(found, list) else found[step]
    assert found == value or value.items() <= found.items()


@pytest.mark.parametrize(("kind", "pointer", "value"), cases(1))
def test_a_value_just_outside_its_bounds_is_refused_at_its_pointer(kind: str, pointer: str, value: Any):
    with pytest.raises(InvalidJob) as refused:
        validate_job(with_value(kind, pointer, value), JOB_TYPES)
    assert [error["pointer"] for error in refused.value.errors] == [pointer]


@pytest.mark.parametrize(
    ("contents", "fits"),
    [(["x" * 8_000] * 65, True), (["x" * 8_000] * 66, False), (["ü" * 260_000], True), (["ü" * 265_000], False)],
    ids=["below", "above", "below, of two-byte characters", "above, of two-byte characters"],
)
def test_a_conversation_holds_512_kib_of_json_in_all(contents: list[str], fits: bool):
    document = with_value("chat", "/input/messages", [{"role": "user", "content": content} for content in contents])
    if fits:
        assert validate_job(document, JOB_TYPES)
        return
    with pytest.raises(InvalidJob) as refused:
        validate_job(document, JOB_TYPES)
    assert [error["pointer"] for error in refused.value.errors] == ["/input"]
    assert "at most 524288 bytes in all; found 5" in refused.value.errors[0]["detail"]


def test_a_prompt_that_is_too_long_is_told_by_how_much():
    with pytest.raises(InvalidJob) as refused:
        validate_job(with_value("generate", "/input/prompt", "ü" * 3_074), JOB_TYPES)
    assert refused.value.errors[0]["detail"] == "must be at most 6144 bytes of UTF-8; shorten it by 4"


@pytest.mark.parametrize("kind", SMALLEST)
@pytest.mark.parametrize("pointer", ["/extra", "/input/extra", "/owner", "/id"])
def test_an_unknown_member_is_refused_by_name(kind: str, pointer: str):
    with pytest.raises(InvalidJob) as refused:
        validate_job(with_value(kind, pointer, 1), JOB_TYPES)
    assert refused.value.errors == [{"pointer": pointer, "detail": "is not a member of this job type; remove it"}]


def test_a_message_has_no_member_that_its_role_does_not_have():
    message = {"role": "user", "content": "x", "tool_call_id": "call_1"}
    with pytest.raises(InvalidJob) as refused:
        validate_job(with_value("chat", "/input/messages/0", message), JOB_TYPES)
    assert [error["pointer"] for error in refused.value.errors] == ["/input/messages/0/tool_call_id"]


def test_what_a_caller_leaves_away_is_the_documented_default():
    generate, _ = validate_job(SMALLEST["generate"], JOB_TYPES)
    assert generate.input.model_dump(exclude_none=True) == {"prompt": "x", "max_tokens": 256}
    assert (generate.priority, generate.ttl_seconds, generate.metadata) == ("normal", 300, {})


def test_the_registry_holds_the_two_types_of_the_contract_on_the_default_queue():
    assert {name: (kind.name, kind.queue, kind.scope) for name, kind in JOB_TYPES.items()} == {
        "generate": ("generate", None, None),
        "chat": ("chat", None, None),
    }


class CountInput(Closed):
    """Counts to a number."""

    upto: int


@pytest.mark.parametrize(
    ("name", "model"), [("count", "CountJobRequest"), ("count-up", "CountUpJobRequest"), ("a_b", "ABJobRequest")]
)
def test_a_new_type_needs_one_line_and_gets_a_model_of_its_own(name: str, model: str):
    job_type = JobType(name=name, input_model=CountInput, queue="numbers", scope="lambda-router/count")
    types = registry(job_type)
    job, found = validate_job({"type": name, "input": {"upto": 3}}, types)
    assert found is job_type
    assert job.input == CountInput(upto=3)
    assert job_type.request_model.__name__ == model
    assert job_type.request_model.__doc__ == "Counts to a number."
    with pytest.raises(InvalidJob, match="see errors"):
        validate_job(SMALLEST["generate"], types)


def test_a_types_request_model_is_made_once():
    assert JOB_TYPES["chat"].request_model is JOB_TYPES["chat"].request_model


@pytest.mark.parametrize(
    "change",
    [lambda job: setattr(job, "priority", "high"), lambda job: setattr(job.input, "prompt", "other")],
    ids=["the job", "its input"],
)
def test_a_validated_job_cannot_be_changed(change: Callable[[BaseModel], None]):
    job, _ = validate_job(SMALLEST["generate"], JOB_TYPES)
    with pytest.raises(ValidationError, match="frozen"):
        change(job)


@pytest.mark.parametrize(
    ("document", "before"),
    [
        (SMALLEST["generate"], "3a7cbe87efb24b7040a360d83f15157bfbb8e7a7b3ce16b0457dad3451453b34"),
        (
            {"type": "chat", "input": SMALLEST["chat"]["input"] | {"temperature": 1}},
            "edb38896a508a2f89463c30c5e8a503d165e412dc60046f7edfbc21a0027a2b0",
        ),
    ],
    ids=["generate", "chat"],
)
def test_a_key_that_was_used_before_there_were_more_members_stays_valid(document: dict[str, Any], before: str):
    request, job_type = validate_job(document, JOB_TYPES)
    assert NewJob("job_1", request, job_type).fingerprint() == before
    longer = document | {"input": document["input"] | {"presence_penalty": 1}}
    request, job_type = validate_job(longer, JOB_TYPES)
    assert NewJob("job_1", request, job_type).fingerprint() != before
