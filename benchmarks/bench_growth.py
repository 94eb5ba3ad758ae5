"""``python -m benchmarks.bench_growth``: how the CPU time of reading adversarial input grows with its length.

Starts no server. Each input is read at ``SIZE`` bytes and at four times as many: linear work takes four times as long,
quadratic work sixteen times. The measure is this thread's CPU time. Each long reading is compared with the short
readings just before and after it, and the lowest of several ratios counts. A machine that changes its speed or shares
its caches changes a ratio by less than a factor of two, so it cannot hide quadratic work.
"""

import argparse
import gc
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from tests.security.growing import CASES, Case

SIZE = 8 * 1024
TIMES = 4
#: The default limit of a job's body in bytes. API Gateway's limit on headers is lower.
LARGEST = 64 * 1024
#: Highest acceptable growth of the time for four times the input.
BOUND = 5.0
#: Long readings of each input; more than ROUNDS only while the growth is above the bound.
ROUNDS, MOST_ROUNDS = 5, 40
#: A reading is repeated for at least this long, so that the clock's resolution does not matter.
_LEAST_NS = 500_000


def main() -> None:
    """Measure and print a Markdown table, the most expensive input first; exit with 1 if one grows too fast."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_growth", description=__doc__)
    parser.parse_args()
    rows = [(name, growth(case), largest_ms(case)) for name, case in CASES.items()]
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.machine()}\n")
    print(f"| Input | CPU at {LARGEST // 1024} KiB, ms | Growth for {TIMES} times as much | Goal |")
    print("| --- | --- | --- | --- |")
    for name, factor, ms in sorted(rows, key=lambda row: -row[2]):
        print(f"| {name} | {ms:.3f} | {factor:.1f} | ≤ {BOUND:g} |")
    over = sum(factor > BOUND for _, factor, _ in rows)
    print(f"\n{len(rows)} kinds; growing faster than they may: {over}")
    raise SystemExit(over > 0)


def growth(case: Case) -> float:
    """Return the factor by which CPU time grows for ``TIMES`` as much input, with garbage collection off."""
    short, long = case.cost(SIZE), case.cost(SIZE * TIMES)
    lowest = float("inf")
    with _no_collector():
        before = _cpu_ms(short)
        for done in range(MOST_ROUNDS):
            taken, after = _cpu_ms(long), _cpu_ms(short)
            lowest = min(lowest, 2 * taken / (before + after))
            before = after
            if done >= ROUNDS and lowest <= BOUND:
                break
    return lowest


def largest_ms(case: Case) -> float:
    """Return the milliseconds of CPU time that the largest input takes."""
    once = case.cost(LARGEST)
    with _no_collector():
        return min(_cpu_ms(once) for _ in range(ROUNDS))


@contextmanager
def _no_collector() -> Iterator[None]:
    """Switch garbage collection off: it runs at any time and would count for whatever is measured then."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _cpu_ms(once: Callable[[], None]) -> float:
    count, began = 0, time.thread_time_ns()
    while (taken := time.thread_time_ns() - began) < _LEAST_NS:
        once()
        count += 1
    return taken / count / 1_000_000


if __name__ == "__main__":
    main()
