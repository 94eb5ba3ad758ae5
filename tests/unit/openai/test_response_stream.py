"""chalicelib.openai.response_stream: a response as events that OpenAI's client and its schema accept."""

import json
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from chalicelib.openai.chat_results import BrokenOff
from chalicelib.openai.response_request import StoredRequest
from chalicelib.openai.response_stream import ResponseStream
from tests import corpora
from tests.unit.openai.examples import DIGITS, answered, job, response_request, shown
from tests.unit.openai.streaming import HOSTILE, TEXT, THOUGHT, attempts, call, called

STORED = StoredRequest(request=response_request())
STARTED = {"started_at": "2026-11-23T08:15:31.000Z"}
ERROR = {"code": "backend_refused", "message": "No."}
FIRST = ["response.created", "response.queued", "response.in_progress"]
MESSAGE = [
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]
REASONING = [name.replace("output_text", "reasoning_text") for name in MESSAGE]
CALL = [
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
]
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

type Event = dict[str, Any]


def final(status: Any = "completed", **members: Any) -> Any:
    return job(status, **STARTED | members)


def streamed(deltas: Iterable[Any], end: Any, after: int = -1, at_first: Any = None) -> list[Event]:
    """Every event of a job that was queued at first; None among the deltas is the mark of another attempt."""
    stream = ResponseStream(at_first or job("queued", position=1), STORED, after)
    events = [*stream.begin()]
    try:
        for delta in deltas:
            events += stream.take(delta)
        events += stream.finish(end)
    except BrokenOff as off:
        events.append(stream.broken(off))
    return events


def types(events: Iterable[Event]) -> list[str]:
    return [event["type"] for event in events]


def texts(events: Iterable[Event], kind: str = "output_text") -> str:
    return "".join(event["delta"] for event in events if event["type"] == f"response.{kind}.delta")


@cache
def openais_schema() -> Any:
    document = json.loads(corpora.RESPONSES.place().read_text())
    schema = {"$ref": "#/components/schemas/ResponseStreamEvent", "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


CALLS = [call("f", '{"a":1}', "call_1"), call("g", "{}")]
RUNS: dict[str, tuple[list[Any], Any, list[str]]] = {
    "text": (
        [{"text": "Ra"}, {"text": "in."}],
        final(result=answered()),
        [*MESSAGE[:3], *MESSAGE[2:], "response.completed"],
    ),
    "a thought, text and calls": (
        [
            THOUGHT,
            TEXT,
            called(0, id="call_1", name="f"),
            called(0, '{"a":1}'),
            called(1, name="g"),
            called(1, "{}"),
        ],
        final(result=answered(reasoning_content="Hmm.", tool_calls=CALLS)),
        [*REASONING, *MESSAGE, *CALL, *CALL, "response.completed"],
    ),
    "a worker that emits nothing": (
        [],
        final(result=answered(reasoning_content="Hmm.", tool_calls=CALLS)),
        [*REASONING, *MESSAGE, *CALL, *CALL, "response.completed"],
    ),
    "an empty answer": ([], final(result=answered("")), [*MESSAGE[:2], *MESSAGE[3:], "response.completed"]),
    "a missing tail": ([{"text": "Ra"}], final(result=answered()), [*MESSAGE[:3], *MESSAGE[2:], "response.completed"]),
    "length": ([TEXT], final(result=answered(finish_reason="length")), [*MESSAGE, "response.incomplete"]),
    "failed": ([TEXT], final("failed", error=ERROR), [*MESSAGE[:3], "response.failed"]),
    "cancelled": ([TEXT], final("cancelled"), [*MESSAGE[:3], "response.failed"]),
    "an unreadable result": ([TEXT], final(error=ERROR), [*MESSAGE[:3], "response.failed"]),
    "another attempt before anything was shown": (
        [{"colour": "red"}, None, TEXT],
        final(result=answered()),
        [*MESSAGE, "response.completed"],
    ),
}
every_run = pytest.mark.parametrize(("deltas", "end", "wanted"), RUNS.values(), ids=RUNS)


@every_run
def test_the_events_come_in_openais_order(deltas: list[Any], end: Any, wanted: list[str]) -> None:
    assert types(streamed(deltas, end)) == FIRST + wanted


@every_run
def test_openais_client_accepts_every_event_in_strict_form(deltas: list[Any], end: Any, wanted: list[str]) -> None:
    for event in streamed(deltas, end):
        read = EVENT.validate_python(event, strict=True)
        assert read.type == event["type"]
        assert not (read.model_extra or {}).keys() - {"name"}  # the schema wants a name, and the client has none


@every_run
def test_openais_schema_accepts_every_event(deltas: list[Any], end: Any, wanted: list[str]) -> None:
    for event in streamed(deltas, end):
        if event.get("response", {}).get("usage", 0) is None:
            del event["response"]["usage"]  # Open Responses wants the null, and OpenAI's client takes it
        assert [str(error) for error in openais_schema().iter_errors(event)] == []


@every_run
def test_numbers_begin_at_0_and_leave_none_out(deltas: list[Any], end: Any, wanted: list[str]) -> None:
    events = streamed(deltas, end)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


@pytest.mark.parametrize("at_first", [job("queued"), job("in_progress", **STARTED), final(result=answered())])
def test_events_are_the_same_whatever_the_job_is_when_the_reader_comes(at_first: Any) -> None:
    assert streamed([TEXT], final(result=answered()), at_first=at_first) == streamed([TEXT], final(result=answered()))


def test_the_first_events_show_a_response_that_is_new() -> None:
    first, second, third = (event["response"] for event in streamed([], final(result=answered()))[:3])
    assert first == second == shown(job("queued"))
    assert third == shown(job("in_progress"))


def test_the_last_event_has_the_response_as_it_is_read_later() -> None:
    end = final(result=answered(reasoning_content="Hmm.", tool_calls=CALLS))
    *_, last = streamed([THOUGHT, TEXT], end)
    assert last["response"] == shown(end)


@pytest.mark.parametrize("emits", [True, False])
def test_items_are_those_of_the_final_response(emits: bool) -> None:
    end = final(result=answered(reasoning_content="Hmm.", tool_calls=CALLS))
    deltas = [THOUGHT, TEXT, called(0, '{"a":1}', id="call_1", name="f"), called(1, "{}", name="g")]
    done = [each for each in streamed(deltas if emits else [], end) if each["type"] == "response.output_item.done"]
    assert [event["item"] for event in done] == shown(end)["output"]
    assert [event["output_index"] for event in done] == [0, 1, 2, 3]


@pytest.mark.parametrize("status", ["expired", "cancelled", "failed"])
def test_a_job_that_never_started_is_not_said_to_be_in_progress(status: str) -> None:
    assert types(streamed([], job(status))) == [*FIRST[:2], "response.failed"]


def test_a_cancelled_response_says_so_in_its_last_event() -> None:
    assert streamed([TEXT], final("cancelled"))[-1]["response"]["status"] == "cancelled"


def test_a_started_job_is_in_progress_before_it_emits() -> None:
    stream = ResponseStream(job("queued"), STORED)
    events = [*stream.begin()]
    assert stream.awaits_start
    events += [*stream.started(), *stream.started(), *stream.take(TEXT)]
    assert not stream.awaits_start
    assert types(events) == FIRST + MESSAGE[:3]


def test_another_attempt_after_a_part_was_shown_ends_the_stream_with_an_error() -> None:
    *_, last = streamed([TEXT, None, TEXT], final(result=answered()))
    members = {name: last[name] for name in ("code", "message", "param")}
    assert (last["type"], last["code"], last["sequence_number"]) == ("error", "restarted", 6)
    assert last["message"].endswith(f"GET /v1/responses/resp_{DIGITS}")
    assert last["error"] == members | {"type": "server_error"}


@pytest.mark.parametrize(("after", "is_void"), [(-1, False), (2, False), (3, True), (99, True)])
def test_a_reader_who_has_a_part_of_another_attempt_is_told(after: int, is_void: bool) -> None:
    events = streamed([None, TEXT], final(result=answered()), after)
    assert (events[-1].get("code") == "restarted") == is_void
    assert events[-1]["sequence_number"] > after


@pytest.mark.parametrize(
    ("deltas", "result"),
    [
        ([{"text": "Sun."}], answered()),
        ([{"text": "Rain. And more."}], answered()),
        ([{"reasoning": "Oh."}], answered(reasoning_content="Hmm.")),
        ([called(0, name="f")], answered()),
        ([called(0, name="g", id="call_1")], answered(None, tool_calls=CALLS)),
        ([called(0, name="f", id="other")], answered(None, tool_calls=CALLS)),
        ([called(0, "[", name="f", id="call_1")], answered(None, tool_calls=CALLS)),
        ([called(0, '{"a', name="f", id="call_1"), called(1, name="g")], answered(None, tool_calls=CALLS)),
        (
            [called(0, '{"a', name="f", id="call_1"), called(1, name="g"), called(0, '":1}')],
            answered(None, tool_calls=CALLS),
        ),
    ],
    ids=["text", "more text", "thought", "call", "name", "id", "arguments", "unfinished call", "late fragment"],
)
def test_what_does_not_fit_the_answer_ends_the_stream_with_an_error(deltas: list[Any], result: Any) -> None:
    events = streamed(deltas, final(result=result))
    assert events[-1]["code"] == "changed"
    assert "response.completed" not in types(events)


def test_an_answer_that_somebody_else_has_read_is_an_error() -> None:
    *_, last = streamed([TEXT], final(store=False))
    assert (last["code"], "GET" in last["message"]) == ("not_found", False)


def test_text_behind_a_call_still_reaches_the_reader() -> None:
    deltas = [{"text": "Rain"}, called(0, '{"a":1}', id="call_1", name="f"), {"text": "."}]
    events = streamed(deltas, final(result=answered(tool_calls=CALLS[:1])))
    assert texts(events) == "Rain."
    assert types(events)[-1] == "response.completed"
    assert Counter(types(events))["response.output_item.added"] == 2


def test_a_late_thought_is_in_the_final_response_only() -> None:
    events = streamed([THOUGHT, TEXT, {"reasoning": "Oh."}], final(result=answered(reasoning_content="Hmm.Oh.")))
    assert texts(events, "reasoning_text") == "Hmm."
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Hmm.Oh."


def test_a_thought_that_begins_behind_the_text_is_in_the_final_response_only() -> None:
    events = streamed([TEXT, THOUGHT], final(result=answered(reasoning_content="Hmm.")))
    assert types(events) == [*FIRST, *MESSAGE, "response.completed"]
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["reasoning", "message"]


def test_a_call_is_shown_once_it_has_a_name() -> None:
    deltas = [called(0, '{"a"', id="call_1"), called(0, ":1", name="f"), called(0, "}")]
    events = streamed(deltas, final(result=answered(None, tool_calls=CALLS[:1])))
    assert types(events)[3:] == [*CALL[:2], CALL[1], *CALL[2:], "response.completed"]
    assert texts(events, "function_call_arguments") == '{"a":1}'


@pytest.mark.parametrize("delta", HOSTILE, ids=repr)
def test_a_delta_of_another_form_is_skipped(delta: Any) -> None:
    assert streamed([delta, TEXT, delta], final(result=answered())) == streamed([TEXT], final(result=answered()))


@given(attempt=attempts())
def test_deltas_add_up_to_the_answer_however_they_are_cut(attempt: tuple[list[Any], Any]) -> None:
    deltas, result = attempt
    end = final(result=result)
    events = streamed(deltas, end)
    assert events[-1]["type"] == "response.completed"
    done = [each["item"] for each in events if each["type"] == "response.output_item.done"]
    assert sorted(done, key=str) == sorted(events[-1]["response"]["output"], key=str)
    assert texts(events) == (result["message"]["content"] or "")
    assert texts(events, "reasoning_text") == result["message"].get("reasoning_content", "")


@given(attempt=attempts(), data=st.data())
def test_a_replay_from_any_number_is_the_rest_of_the_stream(
    attempt: tuple[list[Any], Any], data: st.DataObject
) -> None:
    deltas, result = attempt
    whole = streamed(deltas, final(result=result))
    after = data.draw(st.integers(0, len(whole) - 2))
    assert streamed(deltas, final(result=result), after) == whole[after + 1 :]


@given(
    st.lists(
        st.none()
        | st.dictionaries(
            st.sampled_from(["text", "reasoning", "tool_call", "x"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=3),
                lambda inner: (
                    st.lists(inner, max_size=2)
                    | st.dictionaries(st.sampled_from(["index", "name", "id", "arguments"]), inner)
                ),
                max_leaves=6,
            ),
        ),
        max_size=8,
    )
)
def test_no_log_raises_and_every_stream_has_an_end(deltas: list[Any]) -> None:
    *_, last = streamed(deltas, final(result=answered()))
    assert last["type"] in {"response.completed", "error"}
    assert json.dumps(last).encode()


def test_a_reader_who_claims_to_have_all_gets_the_last_event_again() -> None:
    (last,) = streamed([TEXT], final(result=answered()), 99)
    assert (last["type"], last["sequence_number"]) == ("response.completed", 9)
