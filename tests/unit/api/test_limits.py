"""chalicelib.limits: rate headers and Retry-After."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.limits import MAX_RETRY_AFTER_SECONDS, RatePolicy, RateState, rate_headers, retry_after


@pytest.mark.parametrize(
    ("milliseconds", "seconds"),
    [(-5_000, "1"), (0, "1"), (1, "1"), (1_000, "1"), (1_000.1, "2"), (1_001, "2"), (59_999, "60"), (119_001, "120")],
)
def test_retry_after_is_whole_seconds_rounded_up(milliseconds: float, seconds: str):
    assert retry_after(milliseconds) == {"Retry-After": seconds}


@pytest.mark.parametrize("milliseconds", [120_001, 86_400_000, 10**15])
def test_nobody_is_asked_to_wait_longer_than_two_minutes(milliseconds: int):
    assert retry_after(milliseconds) == {"Retry-After": "120"}
    assert MAX_RETRY_AFTER_SECONDS == 120


@given(st.integers(-(10**6), 10**9))
def test_retry_after_is_never_early_unless_it_is_the_longest(milliseconds: int):
    seconds = int(retry_after(milliseconds)["Retry-After"])
    assert 1 <= seconds <= MAX_RETRY_AFTER_SECONDS
    assert seconds == MAX_RETRY_AFTER_SECONDS or milliseconds <= seconds * 1000 < max(milliseconds, 1) + 1000


@pytest.mark.parametrize(("per_minute", "interval"), [(60, 1_000), (20, 3_000), (1, 60_000), (7, 60_000 / 7)])
def test_the_interval_is_a_minute_divided_by_the_rate(per_minute: int, interval: float):
    assert RatePolicy(per_minute, burst=5).interval_ms == pytest.approx(interval)


def test_rate_headers_are_those_of_the_draft():
    assert rate_headers(RatePolicy(per_minute=20, burst=5), RateState(remaining=4, reset_ms=2_001)) == {
        "RateLimit-Policy": '"rate";q=20;w=60',
        "RateLimit": '"rate";r=4;t=3',
    }


def test_a_whole_burst_resets_in_no_time():
    assert rate_headers(RatePolicy(20, 5), RateState(remaining=5, reset_ms=0))["RateLimit"] == '"rate";r=5;t=0'
