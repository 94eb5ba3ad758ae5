"""The options that the programs for a stack share, and how such a program stops with a message."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from botocore.exceptions import BotoCoreError, ClientError

from tools.stack.deployed import NoStack
from tools.stack.patience import SECONDS
from tools.stack.repository import ROOT
from tools.stack.signals import Stopped
from tools.stack.terraform import TerraformFailed

#: The shared options.
stack_folder = click.option(
    "--folder",
    default=ROOT / "terraform",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of the stack, in which terraform init was run.",
)
stack_url = click.option("--url", help="Address for requests in place of the stack's own URL, such as a private API's.")
patience_seconds = click.option(
    "--patience",
    default=SECONDS,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds that a fault must last before callers are taken back.",
)


class Refused(Exception):
    """The program cannot go on; the message names the thing, its state and the fix. Nothing was changed."""


@contextmanager
def said_plainly(program: str) -> Iterator[None]:
    """End the program with a message and status 1 if it cannot go on."""
    try:
        yield
    except (Refused, NoStack, TerraformFailed, ClientError, BotoCoreError, Stopped) as why:
        sys.exit(f"{program}: {why}")
