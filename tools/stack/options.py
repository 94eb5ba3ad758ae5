"""What stops a program that releases, and how it is said."""

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

#: Options of such programs.
stack_folder = click.option(
    "--folder",
    default=ROOT / "terraform",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of the stack, which terraform init was run in.",
)
stack_url = click.option("--url", help="Where to send requests, if not to the stack's own URL: a private API's.")
patience_seconds = click.option(
    "--patience",
    default=SECONDS,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds that something must be wrong before callers are taken back.",
)


class Refused(Exception):
    """Names the thing, what was found and what mends it; nothing was changed."""


@contextmanager
def said_plainly(program: str) -> Iterator[None]:
    """Ends the program with a sentence and status 1 where it cannot go on."""
    try:
        yield
    except (Refused, NoStack, TerraformFailed, ClientError, BotoCoreError, Stopped) as why:
        sys.exit(f"{program}: {why}")
