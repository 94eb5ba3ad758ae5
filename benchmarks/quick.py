"""The ``--quick`` option of every benchmark that measures for minutes."""

import argparse


def asked_quick(name: str, document: str | None, means: str = "little of each") -> bool:
    """Parse the options of ``python -m benchmarks.<name>``, and return whether ``--quick`` was given."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=document)
    parser.add_argument("--quick", action="store_true", help=means)
    return bool(parser.parse_args().quick)
