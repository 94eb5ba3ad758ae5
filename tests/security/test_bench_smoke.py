"""The benchmark of refusals runs, and refuses whatever it measures."""

import subprocess
import sys
from pathlib import Path

from benchmarks.bench_refusals import JUNK
from tests.contract.repository import page
from tests.security.hostile_tokens import HOSTILE


def test_the_benchmark_of_refusals_measures_every_kind() -> None:
    command = [sys.executable, "-m", "benchmarks.bench_refusals", "--rounds", "1"]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True)

    kinds = len(HOSTILE | JUNK)
    assert f"{kinds} kinds, 1 times each" in run.stdout
    assert f"each of {kinds} kinds" in page("docs/security.md")
