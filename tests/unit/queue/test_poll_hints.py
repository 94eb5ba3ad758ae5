"""When an open job is worth another look: ``Retry-After`` of 202 and of ``GET /v1/jobs/{job_id}``."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.jobs.job_records import records_from_reply
from chalicelib.limits import MAX_POLL_SECONDS, retry_after
from lambda_router_queue.flow import FIGURES

NOW = 1_800_000_000_000
SLOW, NOTHING_MEASURED = 12_000, 0
IN_LINE = {"stream": "4", "seq": "1"}


def poll_ms(record: dict[str, str], service_ms: float, slots: int = 1) -> float:
    """The hint for a job of a queue in which jobs take so long, and so many run at a time."""
    base = {
        "id": f"job_{'0' * 32}",
        "owner": "alice",
        "type": "generate",
        "queue": "q",
        "status": "queued",
        "priority": "normal",
        "created_at": str(NOW),
        "deadline_at": str(NOW + 300_000),
        "metadata": "{}",
        "request_id": "r",
    }
    figures = {"added:4": 5, "service_ms": service_ms, "slots": slots, "slots_at": NOW}
    flat = [text for pair in (base | record).items() for text in pair]
    (found,) = records_from_reply([NOW, " ".join(str(figures.get(name, 0)) for name in FIGURES), [flat]])
    assert found is not None
    return found.poll_ms


def began(ms_ago: float) -> dict[str, str]:
    return {"status": "in_progress", "attempt_at": str(round(NOW - ms_ago)), "started_at": str(NOW - 3_600_000)}


@pytest.mark.parametrize(
    ("record", "service_ms", "slots", "ms"),
    [
        (IN_LINE, SLOW, 1, 12_000),
        (IN_LINE | {"seq": "3"}, SLOW, 1, 36_000),
        (IN_LINE | {"seq": "3"}, SLOW, 2, 18_000),
        (IN_LINE | {"created_at": str(NOW - 100_000)}, SLOW, 1, 12_000),
        (IN_LINE | {"created_at": str(NOW - 90_000)}, NOTHING_MEASURED, 1, 30_000),
        (IN_LINE | {"created_at": str(NOW - 90_000)}, SLOW, 0, 30_000),
        (IN_LINE | {"created_at": str(NOW - 90_000), "due": str(NOW - 45_000)}, SLOW, 0, 15_000),
        (IN_LINE, SLOW, 0, 12_000),
        ({"due": str(NOW + 5_000)}, SLOW, 1, 17_000),
        ({"due": str(NOW - 5_000)}, SLOW, 1, 12_000),
        (began(0), SLOW, 1, 12_000),
        (began(9_000), SLOW, 1, 3_000),
        (began(12_000), SLOW, 1, 4_000),
        (began(60_000), SLOW, 1, 20_000),
        (began(9_000), NOTHING_MEASURED, 0, 3_000),
        (began(-5_000), SLOW, 1, 12_000),
        ({"status": "completed", "attempt_at": "1"}, SLOW, 1, 0),
    ],
    ids=[
        "next",
        "two ahead",
        "two ahead, two slots",
        "in line for long, but the start is known",
        "in line, no job completed yet",
        "in line, no workers",
        "in line since its delay passed, no workers",
        "just sent, no workers",
        "delayed",
        "due",
        "just begun",
        "a quarter is left",
        "overdue",
        "long overdue",
        "the first job of all",
        "the clock stepped back",
        "final",
    ],
)
def test_the_hint_is_the_rest_that_is_expected(record: dict[str, str], service_ms: float, slots: int, ms: float):
    assert poll_ms(record, service_ms, slots) == pytest.approx(ms)


def polls(service_ms: int, takes_ms: int) -> list[int]:
    """When a client that does as it is told looks at a job that starts at once; the last look finds the result."""
    looks = [0]
    while looks[-1] < takes_ms:
        hint = retry_after(poll_ms(began(looks[-1]), service_ms), at_most=MAX_POLL_SECONDS)
        looks.append(looks[-1] + int(hint["Retry-After"]) * 1000)
    return looks[1:]


@given(service_ms=st.integers(1_000, 30_000), share=st.floats(0.01, 1.7))
def test_a_job_of_up_to_30_seconds_costs_three_polls_at_most(service_ms: int, share: float) -> None:
    assert len(polls(service_ms, round(service_ms * share))) <= 3


@given(service_ms=st.integers(0, 30_000), takes_ms=st.integers(1, 600_000))
def test_a_result_is_found_at_most_a_third_late(service_ms: int, takes_ms: int) -> None:
    late_ms = polls(service_ms, takes_ms)[-1] - takes_ms
    assert late_ms <= max(takes_ms / 3, service_ms) + 1_000


@given(takes_ms=st.integers(1, 60_000))
def test_the_first_job_of_a_queue_is_looked_at_twenty_times_at_most(takes_ms: int) -> None:
    assert len(polls(NOTHING_MEASURED, takes_ms)) <= 20
