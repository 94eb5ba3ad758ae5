"""``--quick``, which every benchmark that measures for minutes has."""

import argparse


def asked_quick(name: str, document: str | None, means: str = "little of each") -> bool:
    """Whether ``python -m benchmarks.<name>`` was called with ``--quick``."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=document)
    parser.add_argument("--quick", action="store_true", help=means)
    return bool(parser.parse_args().quick)
