"""The benchmark runs, and its figures stay within the bounds that it names."""

import re
import subprocess
import sys

import pytest

from tests.faults.kit import ROOT


@pytest.mark.rehearsal
@pytest.mark.timeout(120)
def test_the_benchmark_runs_and_its_figures_keep_their_bounds() -> None:
    command = [sys.executable, "-m", "benchmarks.bench_queue", "--quick"]

    table = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=100).stdout

    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    figures = {name: (measured, against) for name, measured, against in rows[2:]}
    bounded = [(int(measured), int(against[6:])) for measured, against in figures.values() if "bound" in against]
    assert len(bounded) == 4
    assert all(measured <= bound for measured, bound in bounded)
    assert "36 : 18 : 6" in {measured for measured, _ in figures.values()}
    assert re.search(r"\d{4}-\d\d-\d\d, (Valkey|Redis) \S+, Python 3\.\d+", table)
