"""``python -m benchmarks.bench_refusals``: the CPU time of rejecting a token, by kind.

Starts no server. The measure is this process's CPU time, so other load on the machine matters little.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import rsa

from chalicelib.callers.app_clients import AppClients
from chalicelib.callers.auth import TokenVerifier
from chalicelib.callers.jwks import StaticKeys
from chalicelib.errors import Unauthenticated
from tests.conftest import CLIENT_ID, ISSUER, public_jwk
from tests.security.growing import TOKENS
from tests.security.hostile_tokens import HOSTILE, Workshop
from tests.unit.forge import NOW, Forge

#: The goal, in milliseconds.
BOUND = 5.0
JUNK: dict[str, str] = {
    "10 MB of A": "A" * 10_000_000,
    "10 MB of dots": "." * 10_000_000,
    "8 KiB of A": "A" * 8_192,
    "8 KiB in three segments": ".".join(["A" * 2_730] * 3),
    "8 KiB of brackets": ".".join(["W1tb" * 682] * 3),
} | {f"8 KiB: {name}": case.make(8_100) for name, case in TOKENS.items() if "header" in name}


def main() -> None:
    """Measure and print a Markdown table, the slowest kinds first."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_refusals", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="how often each token is refused")
    rounds = parser.parse_args().rounds
    key = rsa.generate_private_key(65_537, 2_048)
    keys = StaticKeys(json.dumps({"keys": [public_jwk(key)]}).encode())
    verifier = TokenVerifier(
        keys, issuers=[ISSUER], clients=AppClients([CLIENT_ID]), leeway_seconds=10, clock=lambda: NOW
    )
    figures = sorted(measured(verifier, Workshop(Forge(key), NOW), rounds), key=lambda row: -row[2])
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.machine()}\n")
    print("| A refused token | Median CPU, ms | Worst CPU, ms | Goal, ms |\n| --- | --- | --- | --- |")
    for name, median, worst in figures[:10]:
        print(f"| {name} | {median:.3f} | {worst:.3f} | {BOUND:g} |")
    print(f"\n{len(figures)} kinds, {rounds} times each; over the goal: {sum(row[2] > BOUND for row in figures)}")


def measured(verifier: TokenVerifier, shop: Workshop, rounds: int) -> Iterator[tuple[str, float, float]]:
    """Yield name, median and worst CPU time in milliseconds of each rejection."""
    tokens = {name: make(shop) for name, make in HOSTILE.items()} | JUNK
    for name, token in tokens.items():
        times = [refusal_time(verifier, f"Bearer {token}") for _ in range(rounds)]
        yield name, statistics.median(times), max(times)


def refusal_time(verifier: TokenVerifier, header: str) -> float:
    started = time.process_time()
    try:
        verifier.authenticate([header])
    except Unauthenticated:
        return (time.process_time() - started) * 1_000
    raise AssertionError("a token that should be refused was taken")


if __name__ == "__main__":
    main()
