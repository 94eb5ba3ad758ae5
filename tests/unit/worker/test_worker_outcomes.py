"""lambda_router_worker.outcomes: how a handler says that a job failed, or is worth another try."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from lambda_router_worker.outcomes import BadOutcome, JobFailed, TryAgain, Unsuccessful, UnsupportedType

BOTH = pytest.mark.parametrize("kind", [JobFailed, TryAgain])


@BOTH
@pytest.mark.parametrize("code", ["a", "context_too_long", "http2_error", "a" * 64])
def test_a_code_is_a_lower_case_word(kind: type[Unsuccessful], code: str):
    failure = kind(code, "Too long.")
    assert (failure.code, failure.message, str(failure)) == (code, "Too long.", "Too long.")


@BOTH
@pytest.mark.parametrize(
    "code", ["", "A", "two words", "kebab-case", "1st", "_a", "a" * 65, "ä", "a\n"],
    ids=["empty", "capital", "space", "hyphen", "digit first", "underscore first", "65", "not ASCII", "line break"],
)  # fmt: skip
def test_another_code_is_the_handlers_mistake(kind: type[Unsuccessful], code: str):
    with pytest.raises(ValueError, match="code wants lower-case letters, digits and underscores"):
        kind(code, "Too long.")


@BOTH
def test_a_message_is_made_such_that_json_can_hold_it(kind: type[Unsuccessful]):
    assert kind("odd", "half \ud800, whole 🗼").message == "half ?, whole 🗼"


@pytest.mark.parametrize(
    ("given", "kept"), [({}, 0), ({"after_seconds": 2.5}, 2.5), ({"after_seconds": 10**400}, 10**400)],
    ids=["unsaid", "said", "beyond floats"],
)  # fmt: skip
def test_a_try_may_be_asked_to_wait(given: dict[str, float], kept: float):
    assert TryAgain("busy", "Busy.", **given).after_seconds == kept


MISTAKES: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
    "code": (lambda value: JobFailed(value, "Too long."), [None, 5, b"busy", "", "Two words"]),
    "message": (lambda value: TryAgain("busy", value), [None, 5, b"Busy.", ValueError("secret")]),
    "after_seconds": (lambda value: TryAgain("busy", "Busy.", value),
                      ["20", None, True, [20], math.nan, math.inf, -math.inf, -1, -0.5, -(10**400)]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("argument", "make", "value"),
    [(name, make, value) for name, (make, values) in MISTAKES.items() for value in values],
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_a_mistake_is_raised_where_it_was_made_and_names_the_argument_and_the_fix(
    argument: str, make: Callable[[Any], Any], value: Any
):
    with pytest.raises(BadOutcome) as raised:
        make(value)
    assert isinstance(raised.value, TypeError)
    assert isinstance(raised.value, ValueError)
    assert raised.value.reason.startswith(argument)
    assert "secret" not in str(raised.value)
    if not isinstance(value, str | int | float):
        assert type(value).__name__ in raised.value.reason


def test_an_unsupported_type_has_one_code():
    assert UnsupportedType().code == UnsupportedType("We do not chat.").code == "unsupported_type"
    assert UnsupportedType("We do not chat.").message == "We do not chat."


@pytest.mark.parametrize("kind", [JobFailed, TryAgain, UnsupportedType])
def test_the_outcomes_are_told_apart(kind: type[Unsuccessful]):
    assert [other for other in (JobFailed, TryAgain, UnsupportedType) if issubclass(kind, other)] == [kind]
