"""What the tests of both grammars of streams share: what workers emit, and results that fit it."""

from typing import Any

from hypothesis import strategies as st

from tests.unit.openai.examples import answered

THOUGHT, TEXT = {"reasoning": "Hmm."}, {"text": "Rain."}
#: Deltas that no worker of ours emits.
HOSTILE: tuple[Any, ...] = (
    {},
    {"colour": "red"},
    {"text": 5},
    {"text": None, "reasoning": ["x"]},
    {"text": "half \ud83d of a character"},
    {"tool_call": "f"},
    {"tool_call": {}},
    {"tool_call": {"index": True, "name": "f"}},
    {"tool_call": {"index": "0", "name": "f"}},
    {"tool_call": {"index": 10**30}},
    {"tool_call": {"index": -1, "arguments": "{}"}},
    {"tool_call": {"index": 0, "name": "\ud83d", "id": 7, "arguments": {"a": 1}}},
)


def called(index: int, arguments: str = "", **members: Any) -> dict[str, Any]:
    """A piece of a call."""
    return {"tool_call": {"index": index, "arguments": arguments} | members}


def call(name: str, arguments: str, call_id: str = "") -> dict[str, Any]:
    """A call of a result."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def cut(draw: st.DrawFn, text: str) -> list[str]:
    """Cut a text somewhere; some pieces are empty."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=5)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


@st.composite
def attempts(draw: st.DrawFn) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What a worker emits in one attempt, cut anywhere, with nonsense in between; and its result."""
    words = st.text(max_size=12)
    thought, text = draw(words), draw(words)
    calls = draw(st.lists(st.tuples(st.text("ab", min_size=1, max_size=3), words), max_size=3))
    deltas: list[dict[str, Any]] = [{"reasoning": piece} for piece in cut(draw, thought)]
    deltas += [{"text": piece} for piece in cut(draw, text)]
    for place, (name, arguments) in enumerate(calls):
        first, *others = cut(draw, arguments)
        deltas.append(called(place, first, name=name, id=f"call_{place}"))
        deltas += [called(place, piece) for piece in others]
    emitted = deltas[: draw(st.integers(0, len(deltas)))]  # the rest is in the result only
    for nonsense in draw(st.lists(st.sampled_from(HOSTILE[:11]), max_size=3)):
        emitted.insert(draw(st.integers(0, len(emitted))), nonsense)
    made = [call(name, arguments, f"call_{place}") for place, (name, arguments) in enumerate(calls)]
    members: dict[str, Any] = {"tool_calls": made} if made else {}
    members |= {"reasoning_content": thought} if thought else {}
    return emitted, answered(text if text or not made else None, "tool_calls" if made else "stop", **members)
