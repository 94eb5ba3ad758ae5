"""Each benchmark runs, little of it, and prints its table; rivals only where ``.venv-bench`` is."""

import subprocess
import sys

import pytest

from benchmarks import chart
from benchmarks.bench_against import FIGURES
from benchmarks.figures import Row, at_least, at_most, paired_ratio, percentile, table
from benchmarks.pickup.__main__ import KINDS
from tests.contract.repository import ROOT


def run(name: str, *arguments: str) -> dict[str, list[str]]:
    """The table's rows by their first cell."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick", *arguments]
    ran = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=280)
    assert ran.returncode == 0, ran.stderr[-2_000:]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in ran.stdout.splitlines() if line[:1] == "|"
    ]
    return {figure: rest for figure, *rest in rows}


@pytest.mark.rehearsal
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("bench_worker", "worked: this project"),
        ("bench_memory", "bytes per finished job: this project"),
        ("bench_depth", "300 jobs of 10 callers wait: submission p50, of none's"),
    ],
)
def test_a_benchmark_of_the_queue_runs(name: str, figure: str) -> None:
    assert float(run(name)[figure][0].split()[0].replace(",", "")) > 0


@pytest.mark.rehearsal
@pytest.mark.timeout(120)
def test_the_benchmark_of_live_output_runs() -> None:
    rows = run("bench_live")

    assert float(rows["tokens a second of each of 4"][0].split()[0]) > 0
    assert {f"first token, {name}, minus direct, p50" for name in ("chat", "responses")} <= rows.keys()


@pytest.mark.rehearsal
@pytest.mark.timeout(300)
def test_a_checkout_is_measured_against_a_commit() -> None:
    rows = run("bench_against", "HEAD")

    assert all(f"{figure}, {of}" in rows for figure in FIGURES.values() for of in ("of before", "before of itself"))


@pytest.mark.rehearsal
@pytest.mark.timeout(120)
def test_idle_workers_are_measured_against_a_commit() -> None:
    rows = run("pickup", "HEAD")

    kinds = {figure.split(":")[0] for figure in rows if figure.endswith("mean / median")}
    assert kinds == {f"{number} idle, {kind}" for number in (1, 3) for kind in KINDS}
    assert any(figure.startswith("commands a second") for figure in rows)


@pytest.mark.rehearsal
@pytest.mark.package
@pytest.mark.timeout(300)
def test_the_benchmarks_of_the_function_run_and_count_one_round_trip() -> None:
    rows = run("bench_function")

    assert rows["zip, of the plain one's"][2] == "met"
    assert "GET /health: CPU, of plain chalice package's" in rows
    assert {"pydantic", "lambda_router_queue.models"} <= rows.keys()
    trips = [rows[f"Redis round trips per {kind}, by the server's count"] for kind in ("submit", "poll")]
    assert [measured for measured, *_ in trips] == ["1", "1"]


def test_a_ratio_is_the_median_of_pairs() -> None:
    assert paired_ratio([1, 20, 3], [2, 10, 6]) == 0.5


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 2), (0.99, 3), (1.0, 3)])
def test_a_percentile_is_one_of_the_values(share: float, value: int) -> None:
    assert percentile([3, 1, 2], share) == value


def test_a_goal_is_met_or_missed() -> None:
    assert [at_most("x", 0.4, 0.4).met, at_most("x", 0.41, 0.4).met] == [True, False]
    assert [at_least("x", 1.0, 1.0).met, at_least("x", 0.99, 1.0).met] == [True, False]
    assert list(table("T", [Row("a", "1", "≤ 0", False)]))[-1] == "| a | 1 | ≤ 0 | **missed** |"


def test_the_longest_bar_of_each_kind_is_as_wide_as_the_chart() -> None:
    drawn = chart.svg({"T": {"a: this project": 1, "a: other & co": 2, "b: this project": 5}})

    assert f'width="{chart.WIDTH // 2}" height="14"' in drawn
    assert drawn.count(f'width="{chart.WIDTH}" height="14"') == 2
    assert "other &amp; co" in drawn
