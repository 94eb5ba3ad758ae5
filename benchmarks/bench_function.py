"""``python -m benchmarks.bench_function``: size, cold start and warm requests of one build of the package."""

from benchmarks import bench_cold, bench_package, bench_warm
from benchmarks.quick import asked_quick


def main() -> None:
    quick = asked_quick("bench_function", __doc__)
    # The package first: it reports how long the build took, and the others reuse that build.
    for benchmark in (bench_package, bench_cold, bench_warm):
        benchmark.run(quick=quick)


if __name__ == "__main__":
    main()
