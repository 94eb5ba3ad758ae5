"""Limits so wide that a test meets none unless it asks for it."""

from chalicelib.jobs.admission import QueuePolicy
from chalicelib.limits import RatePolicy

WIDE = QueuePolicy(
    rate=RatePolicy(per_minute=6_000_000, burst=1_000_000),
    queue_cap=1_000_000,
    open_jobs_cap=1_000_000,
    newcomers_percent=0,
    delayed_percent=100,
    caller_bytes_cap=2**40,
    queue_bytes_cap=2**40,
    store_result_seconds=3_600,
    idempotency_seconds=3_600,
    events_seconds=600,
)
