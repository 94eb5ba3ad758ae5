"""worker.outcomes: how a handler says that a job failed, or is worth another try."""

import pytest

from worker.outcomes import JobFailed, TryAgain, Unsuccessful, UnsupportedType

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
    with pytest.raises(ValueError, match="wants lower-case letters, digits and underscores"):
        kind(code, "Too long.")


@BOTH
def test_a_message_is_made_such_that_json_can_hold_it(kind: type[Unsuccessful]):
    assert kind("odd", "half \ud800, whole 🗼").message == "half ?, whole 🗼"


@pytest.mark.parametrize(("given", "kept"), [({}, 0), ({"after_seconds": 2.5}, 2.5)], ids=["unsaid", "said"])
def test_a_try_may_be_asked_to_wait(given: dict[str, float], kept: float):
    assert TryAgain("busy", "Busy.", **given).after_seconds == kept


def test_an_unsupported_type_has_one_code():
    assert UnsupportedType().code == UnsupportedType("We do not chat.").code == "unsupported_type"
    assert UnsupportedType("We do not chat.").message == "We do not chat."


@pytest.mark.parametrize("kind", [JobFailed, TryAgain, UnsupportedType])
def test_the_outcomes_are_told_apart(kind: type[Unsuccessful]):
    assert [other for other in (JobFailed, TryAgain, UnsupportedType) if issubclass(kind, other)] == [kind]
