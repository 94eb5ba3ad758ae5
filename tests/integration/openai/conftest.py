"""Fixtures of the OpenAI API's tests."""

from collections.abc import Iterator

import pytest

from tests.integration.openai.openai_calls import answering


@pytest.fixture
def worker(redis_url: str) -> Iterator[None]:
    """A worker that answers every chat."""
    with answering(redis_url):
        yield
