"""``python -m tools.dev``: deploy a developer's own stack by ``chalice deploy --stage dev``; ``--delete`` removes it.

Chalice runs in a clean copy of the source, in which the shell's variables replace the stage's own. So no account's
values enter the repository, and nothing is created before every value has been checked.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

from chalicelib.settings import SettingsError
from tools.dev.settings import fill_in, region_of
from tools.package import pages
from tools.package.chalice import RUN_CHALICE, environment, locked_wheels, refuse_output
from tools.package.source import copy_source
from tools.stack.configured import Stack
from tools.stack.refusal import Refusal
from tools.stack.repository import ROOT

STAGE = "dev"
#: Where Chalice keeps the ids of what it created; not tracked. Without it the next deploy would create a second API.
RECORD = f".chalice/deployed/{STAGE}.json"


@click.command()
@click.option("--delete", is_flag=True, help="Delete the stack.")
def main(delete: bool) -> None:
    """Deploy the stack of stage dev with Chalice, or delete it."""
    try:
        click.echo(run(os.environ, delete=delete), nl=False)
    except (Refusal, SettingsError) as refusal:
        sys.exit(f"dev-stack: {refusal}")


def run(shell: Mapping[str, str], *, delete: bool = False, root: Path = ROOT) -> str:
    """Create, change or delete the stack, and return Chalice's output.

    Raises:
        Refusal: there is no region, a placeholder is left, there is nothing to delete, or Chalice failed.
        SettingsError: the function does not accept a value.
    """
    if delete and not (root / RECORD).exists():
        raise Refusal(f"no {RECORD} here: delete the stack from the checkout that deployed it")
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "source"
        copy_source(source, STAGE, None, root)
        fill_in(source, STAGE, shell, checked=not delete)
        pages.choose(source, STAGE, is_on=not delete and pages.wanted(source, STAGE, Stack(root)))
        wheels = {} if delete else locked_wheels(source, STAGE, Path(name) / "wheels")
        # The shell selects the account, but must not override settings.
        account = environment(shell, dropped=()) | {"AWS_DEFAULT_REGION": region_of(shell)}
        return _chalice("delete" if delete else "deploy", source, root, account | wheels)


def _chalice(command: str, source: Path, root: Path, environ: Mapping[str, str]) -> str:
    _copy(root / RECORD, source / RECORD)
    ran = subprocess.run(
        [sys.executable, "-c", RUN_CHALICE, command, "--stage", STAGE],
        cwd=source,
        env=dict(environ),
        check=False,
        capture_output=True,
        text=True,
    )
    _copy(source / RECORD, root / RECORD)
    refuse_output(ran.returncode, ran.stdout + ran.stderr)
    if command == "delete":
        (root / RECORD).unlink()
    return ran.stdout


def _copy(one: Path, other: Path) -> None:
    if one.exists():
        other.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(one, other)


if __name__ == "__main__":
    main()
