"""``python -m tests.e2e.open_responses [FOLDER]``: Open Responses' compliance suite against a stack of its own.

FOLDER is a checkout of https://github.com/openresponses/openresponses; without it, one is cloned. Ends with status 1 if
a test fails that is not in ``NOT_YET``.
"""

import json
import subprocess
import sys
import threading
from pathlib import Path

import click

from tests.e2e.calling_model import MODEL, calling_model
from tests.e2e.running_stack import RunningStack, begin_stack
from tools.local.ports import free_ports
from tools.stack.repository import ROOT

REPOSITORY = "https://github.com/openresponses/openresponses"
FOLDER = ROOT / ".local/open-responses"
#: Its tests that need what this API does not have: ``compact``, and WebSockets, which API Gateway's REST APIs do not
#: have either.
NOT_YET = ("compact-", "websocket-")


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path | None) -> None:
    """Run Open Responses' compliance suite, of a checkout in FOLDER."""
    sys.exit(_suite(folder or _cloned()))


def _suite(suite: Path) -> int:
    if not (suite / "node_modules").is_dir():
        _run(suite, "npm", "install", "--no-save", "--silent", "--no-audit", "--no-fund", "bun", "zod@3.25.76")
    with calling_model() as backend:
        stack = RunningStack(port := free_ports(1)[0], begin_stack(port, BACKEND=backend.base_url, MODEL=MODEL))
        threading.Thread(target=stack.listen, daemon=True).start()
        try:
            stack.wait_until_ready()
            command = ["npx", "bun", "run", "bin/compliance-test.ts", "-u", f"{stack.url}/v1", "-m", MODEL, "--json"]
            ran = subprocess.run(
                [*command, "-k", stack.token("suite")], cwd=suite, capture_output=True, text=True, check=False
            )
        finally:
            stack.stop()
    return _told(ran.stdout, ran.stderr)


def _cloned() -> Path:
    if not FOLDER.is_dir():
        _run(ROOT, "git", "clone", "--quiet", "--depth", "1", REPOSITORY, str(FOLDER))
    return FOLDER


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True)


def _told(output: str, errors: str) -> int:
    """Print a line for each test, and return the exit status."""
    try:
        results = json.loads(output)["results"]
    except (ValueError, KeyError):
        click.echo(output + errors, err=True)
        return 1
    unexpected = 0
    for result in results:
        is_not_yet = result["id"].startswith(NOT_YET)
        unexpected += result["status"] != "passed" and not is_not_yet
        click.echo(f"{result['status']:8} {result['id']}{'  (not here yet)' if is_not_yet else ''}")
        if result["status"] != "passed" and not is_not_yet:
            click.echo(json.dumps(result, indent=2)[:3_000])
    return 1 if unexpected else 0


if __name__ == "__main__":
    main()
