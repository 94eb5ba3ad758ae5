"""worker.outcomes: how a handler says that a job failed."""

import pytest

from worker.outcomes import JobFailed


@pytest.mark.parametrize("code", ["a", "context_too_long", "http2_error", "a" * 64])
def test_a_code_is_a_lower_case_word(code: str):
    failure = JobFailed(code, "Too long.")
    assert (failure.code, failure.message, str(failure)) == (code, "Too long.", "Too long.")


@pytest.mark.parametrize(
    "code", ["", "A", "two words", "kebab-case", "1st", "_a", "a" * 65, "ä", "a\n"],
    ids=["empty", "capital", "space", "hyphen", "digit first", "underscore first", "65", "not ASCII", "line break"],
)  # fmt: skip
def test_another_code_is_the_handlers_mistake(code: str):
    with pytest.raises(ValueError, match="wants lower-case letters, digits and underscores"):
        JobFailed(code, "Too long.")
