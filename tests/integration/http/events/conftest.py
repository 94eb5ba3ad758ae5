"""A job of alice's that a worker has started."""

import pytest

from tests.integration.http.events.event_reader import Hand


@pytest.fixture
def hand(redis_url: str, location: str) -> Hand:
    """A worker that has started alice's job."""
    return Hand(redis_url)


@pytest.fixture
def path(location: str) -> str:
    return f"{location}/events"
