"""lambda_router_worker.deltas: whatever a handler emits, and however a server cuts it, its text arrives whole."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_router_worker.deltas import MAX_OBJECT_BYTES, MAX_OUTPUT_CHARACTERS, MOST_CHARACTERS, Deltas
from lambda_router_worker.outcomes import JobFailed
from lambda_router_worker.processing.results import MAX_RESULT_BYTES
from lambda_router_worker.texts import whole_text

HIGH, LOW = "\ud83d", "\ude00"  # of a face
CALL = {"index": 0, "id": "call_1", "name": "weather", "arguments": ""}

#: Text that a server may send in one chunk: any characters, and halves of such as need two.
CUT = st.text(st.characters() | st.sampled_from([HIGH, LOW]), max_size=8)


def stored(deltas: Deltas, *, is_end: bool = True) -> list[dict[str, Any]]:
    """What would be stored now. Each piece has to be valid UTF-8."""
    return [json.loads(piece.encode()) for piece in deltas.pieces(is_end=is_end)]


def pieces_of(emitted: Iterable[Any]) -> list[dict[str, Any]]:
    deltas = Deltas()
    for delta in emitted:
        deltas.add(delta)
    return stored(deltas)


def text_in(pieces: list[dict[str, Any]], member: str) -> str:
    return "".join(piece[member] for piece in pieces if member in piece)


def arguments_in(pieces: list[dict[str, Any]], index: int) -> str:
    calls = [piece["tool_call"] for piece in pieces if "tool_call" in piece]
    return "".join(call["arguments"] for call in calls if call["index"] == index)


def test_pieces_of_one_text_that_wait_together_become_one():
    assert pieces_of(["Gr", "üße", "", {"text": "!"}]) == [{"text": "Grüße!"}]


def test_pieces_keep_the_order_of_text_and_thoughts():
    assert pieces_of([{"reasoning": "a"}, {"reasoning": "b"}, "c", {"reasoning": "d"}]) == [
        {"reasoning": "ab"},
        {"text": "c"},
        {"reasoning": "d"},
    ]


def test_a_delta_of_text_and_thoughts_is_both():
    assert pieces_of([{"reasoning": "a", "text": "b"}]) == [{"reasoning": "a"}, {"text": "b"}]


def test_empty_deltas_make_no_piece():
    assert pieces_of(["", {}, {"text": ""}, {"text": "", "reasoning": ""}]) == []


def test_arguments_of_one_call_are_joined_to_its_first_piece():
    fragments = [{"tool_call": {"index": 0, "arguments": part}} for part in ('{"city":', '"Köln"}')]
    assert pieces_of([{"tool_call": CALL}, *fragments]) == [{"tool_call": CALL | {"arguments": '{"city":"Köln"}'}}]


def test_arguments_of_two_calls_are_not_mixed():
    def fragment(index: int, text: str) -> dict[str, Any]:
        return {"tool_call": {"index": index, "arguments": text}}

    pieces = pieces_of([{"tool_call": CALL}, fragment(0, "a"), fragment(1, "b"), fragment(0, "c"), fragment(0, "d")])
    assert [arguments_in(pieces, index) for index in (0, 1)] == ["acd", "b"]
    assert len(pieces) == 3


@given(st.lists(st.tuples(st.sampled_from(["text", "reasoning", 0, 1]), CUT, st.booleans()), max_size=12))
def test_whatever_the_cuts_the_pieces_together_are_the_whole_text(chunks: list[tuple[str | int, str, bool]]):
    """Chunks of several texts come in any order, and what waits is stored at any time."""
    deltas, pieces = Deltas(), []
    for channel, text, is_stored in chunks:
        call = {"tool_call": {"index": channel, "arguments": text}}
        deltas.add(call if isinstance(channel, int) else {channel: text})
        if is_stored:
            pieces += stored(deltas, is_end=False)
    pieces += stored(deltas)

    def sent(wanted: str | int) -> str:
        return whole_text("".join(text for channel, text, _ in chunks if channel == wanted))

    assert [text_in(pieces, member) for member in ("text", "reasoning")] == [sent("text"), sent("reasoning")]
    assert [arguments_in(pieces, index) for index in (0, 1)] == [sent(0), sent(1)]


def test_half_a_character_waits_for_the_other_half():
    deltas = Deltas()
    deltas.add(f"a{HIGH}")
    assert stored(deltas, is_end=False) == [{"text": "a"}]
    assert stored(deltas, is_end=False) == []
    deltas.add(f"{LOW}b")
    assert stored(deltas, is_end=False) == [{"text": "😀b"}]


def test_half_a_character_waits_while_another_text_comes_between():
    assert pieces_of([f"a{HIGH}", {"reasoning": "?"}, f"{LOW}b"]) == [
        {"text": "a"},
        {"reasoning": "?"},
        {"text": "😀b"},
    ]


def test_half_a_character_of_a_calls_arguments_waits_too():
    pieces = pieces_of(
        [{"tool_call": CALL | {"arguments": HIGH}}, "x", {"tool_call": {"index": 0, "arguments": LOW}}, "y"]
    )
    assert arguments_in(pieces, 0) == "😀"
    assert pieces[0] == {"tool_call": CALL}


def test_half_a_character_that_stays_alone_is_marked_at_the_end():
    deltas = Deltas()
    deltas.add(HIGH)
    assert stored(deltas, is_end=False) == []
    assert deltas
    assert stored(deltas) == [{"text": "\ufffd"}]
    assert not deltas


UNITS = {"letter": "x", "accent": "é", "face": "😀", "control": "\x00", "halves": f"{HIGH}{LOW}"}


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS.keys())
def test_a_long_text_is_split(unit: str):
    text = unit * (3 * MOST_CHARACTERS // len(unit) + 1)
    pieces = pieces_of([text])
    assert text_in(pieces, "text") == whole_text(text)
    assert max(len(piece["text"]) for piece in pieces) <= MOST_CHARACTERS


def test_long_arguments_of_a_call_are_split_and_the_call_is_named_once():
    """A server that does not stream sends all of them at once."""
    arguments = json.dumps({"text": "ü" * 200_000}, ensure_ascii=False)
    pieces = pieces_of([{"tool_call": CALL | {"arguments": arguments}}])
    assert arguments_in(pieces, 0) == arguments
    assert [piece["tool_call"].get("name") for piece in pieces] == ["weather"] + [None] * (len(pieces) - 1)


def test_many_small_pieces_that_wait_for_long_are_joined_to_pieces_of_bounded_size():
    pieces = pieces_of("0123456789" for _ in range(10_000))
    assert text_in(pieces, "text") == "0123456789" * 10_000
    assert len(pieces) <= 10
    assert max(len(piece["text"]) for piece in pieces) <= MOST_CHARACTERS


OBJECTS: dict[str, dict[str, Any]] = {
    "zero": {"progress": 0},
    "false": {"done": False},
    "nothing": {"stage": None},
    "empty": {"rows": []},
    "text beside": {"text": "a", "progress": 1},
    "text of another kind": {"text": 5},
    "call of another kind": {"tool_call": "weather"},
    "call without index": {"tool_call": {"arguments": "x"}},
    "call with an odd index": {"tool_call": {"index": -1, "arguments": "x"}},
    "call with more": {"tool_call": CALL | {"cost": 1}},
    "nested": {"a": {"b": [{"c": "d"}]}},
    "large number": {"n": 10**4000},
}


@pytest.mark.parametrize("shown", OBJECTS.values(), ids=OBJECTS.keys())
def test_an_object_of_a_handlers_own_stays_as_it_is(shown: dict[str, Any]):
    assert pieces_of([shown, shown]) == [shown, shown]


def test_an_object_is_copied_when_it_is_emitted():
    deltas, rows, call = Deltas(), [1], dict(CALL)
    deltas.add({"rows": rows})
    deltas.add({"tool_call": call})
    rows.append(2)
    call["name"] = "other"
    assert stored(deltas) == [{"rows": [1]}, {"tool_call": CALL}]


def test_half_a_character_deep_in_an_object_is_marked():
    assert pieces_of([{"a": [{"b": HIGH, f"c{LOW}": 1}]}]) == [{"a": [{"b": "\ufffd", "c\ufffd": 1}]}]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return {"a": value}


WRONG: dict[str, Any] = {
    "number": 5,
    "bytes": b"x",
    "list": ["x"],
    "none": None,
    "set": {"a": {1}},
    "object": {"a": object()},
    "not a number": {"a": float("nan")},
    "key": {("a",): 1},
    "deeper than a reader goes": nested(250),
    "deeper than anything goes": nested(100_000),
    "number of many digits": {"n": 10**5000},
}


@pytest.mark.parametrize("shown", WRONG.values(), ids=WRONG.keys())
def test_anything_else_is_refused_and_leaves_nothing_behind(shown: Any):
    deltas = Deltas()
    with pytest.raises(ValueError, match=r"^emit\(\) wants"):
        deltas.add(shown)
    assert not deltas


def test_an_object_that_contains_itself_is_refused():
    shown: dict[str, Any] = {}
    shown["a"] = shown
    with pytest.raises(ValueError, match=r"^emit\(\) wants"):
        Deltas().add(shown)


@pytest.mark.parametrize("shown", [{"rows": "ü" * MAX_OBJECT_BYTES}, {"text": "x" * MAX_OBJECT_BYTES, "more": 1}])
def test_a_large_object_is_refused(shown: dict[str, Any]):
    with pytest.raises(ValueError, match="at most 65536 bytes"):
        Deltas().add(shown)


def test_a_text_as_long_as_the_largest_result_is_taken():
    text = "x" * MAX_RESULT_BYTES
    assert text_in(pieces_of([{"text": text}, {"reasoning": text}]), "text") == text


def test_output_beyond_the_limit_fails_the_job():
    deltas = Deltas()
    deltas.add("x" * MAX_OUTPUT_CHARACTERS)
    for more in ("y", {"tool_call": CALL}, {"n": 1}):
        with pytest.raises(JobFailed) as failed:
            deltas.add(more)
        assert failed.value.code == "result_too_large"


def test_a_call_counts_with_its_arguments_and_not_with_their_frame():
    deltas = Deltas()
    deltas.add("x" * (MAX_OUTPUT_CHARACTERS - 1_000))
    for _ in range(1_000):
        deltas.add({"tool_call": {"index": 0, "arguments": "x"}})
