"""The benchmark of refusals runs, and refuses whatever it measures."""

import subprocess
import sys
from pathlib import Path


def test_the_benchmark_of_refusals_measures_every_kind() -> None:
    command = [sys.executable, "-m", "benchmarks.bench_refusals", "--rounds", "1"]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True)

    assert "79 kinds, 1 times each" in run.stdout
