"""lambda_router_worker.prometheus.job_counts: what is counted, and that nothing grows without bound."""

import math
from typing import Any

import pytest

from lambda_router_worker.processing.results import NO_TOKENS, Usage
from lambda_router_worker.prometheus import job_counts
from lambda_router_worker.prometheus.job_counts import MOST_CODES, OUTCOMES, JobCounts, Spread
from tests.contract.repository import page, table_column


def test_a_job_counts_once_by_its_end_and_an_attempt_by_its_outcome() -> None:
    counts = JobCounts()
    for outcome, code in [("scheduled", "backend_busy"), ("scheduled", "backend_busy"), ("completed", "")]:
        counts.ended(outcome, code)
        counts.attempted(outcome, 0.2, NO_TOKENS)

    assert +counts.jobs == {("completed", ""): 1}
    assert +counts.retries == {"backend_busy": 2}
    assert {outcome: dict(spread.cumulative())["+Inf"] for outcome, spread in counts.attempts.items()} == {
        "completed": 1,
        "scheduled": 2,
    }


@pytest.mark.parametrize("outcome", ["failed", "dead"])
def test_a_failure_is_counted_by_its_code(outcome: str) -> None:
    counts = JobCounts()
    counts.ended(outcome, "timeout")

    assert counts.jobs[outcome, "timeout"] == 1


@pytest.mark.parametrize("outcome", ["lost", "gone", "given back", "in_progress"])
def test_a_job_that_goes_on_elsewhere_is_not_counted_as_ended(outcome: str) -> None:
    counts = JobCounts()
    counts.ended(outcome, "timeout")

    assert (counts.jobs.total(), counts.retries.total()) == (0, 0)


def test_codes_and_outcomes_are_bounded_in_number() -> None:
    """A handler may name a code after each job; Redis may reply with anything."""
    counts = JobCounts()
    for number in range(10 * MOST_CODES):
        counts.ended("failed", f"code_{number}")
        counts.attempted(f"outcome {number}", 1, NO_TOKENS)
    counts.ended("scheduled", "new_code")
    counts.ended("failed", "code_0")

    assert len(+counts.jobs) == MOST_CODES + 1
    assert counts.jobs["failed", "code_0"] == 2
    assert counts.jobs.total() == 10 * MOST_CODES + 1
    assert +counts.retries == {"other": 1}
    assert set(counts.attempts) <= {*(outcome.replace(" ", "_") for outcome in OUTCOMES), "other"}


def test_the_series_of_every_documented_code_begin_at_0() -> None:
    """Prometheus sees no increase in a series that begins at 1: the first failure would be missing in a dashboard."""
    ours = [*job_counts.RETRIED, *job_counts.DEAD_AT_ONCE, *job_counts.FAILED_AT_ONCE]
    counts = JobCounts()

    assert sorted(ours) == sorted(table_column(page("docs/contract.md"), "## The job"))
    assert {code for _, code in counts.jobs if code} == set(ours)
    assert set(counts.jobs.values()) | set(counts.retries.values()) == {0}


def test_a_spread_adds_up_from_bucket_to_bucket() -> None:
    spread = Spread((0.5, 1, 10))
    for value in (0.5, 0.6, 1, 11, -1):
        spread.observe(value)

    assert list(spread.cumulative()) == [("0.5", 2), ("1.0", 4), ("10.0", 4), ("+Inf", 5)]
    assert math.isclose(spread.sum, 13.1)


@pytest.mark.parametrize(
    ("result", "wanted"),
    [
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}, (3, 2)),
        ({"usage": {"prompt_tokens": 3}}, (3, 0)),
        ({"usage": {"prompt_tokens": True, "completion_tokens": -1}}, (0, 0)),
        ({"usage": {"prompt_tokens": 10**30, "completion_tokens": 1.5}}, (0, 0)),
        ({"usage": {"prompt_tokens": "3", "completion_tokens": None}}, (0, 0)),
        ({"usage": [3, 2]}, (0, 0)),
        ({"usage": None}, (0, 0)),
        ({}, (0, 0)),
        ("text", (0, 0)),
        (None, (0, 0)),
    ],
)
def test_tokens_are_those_of_a_sound_usage(result: Any, wanted: tuple[int, int]) -> None:
    assert Usage.of(result) == wanted
