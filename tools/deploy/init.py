"""``python -m tools.deploy.init``: terraform init, with the state in S3, for the stack that the environment names."""

import os
import sys
from pathlib import Path

import click

from tools.deploy.ready import refuse_unpackaged
from tools.deploy.saved_plan import PLAN
from tools.stack.backend import Backend, StateUnread
from tools.stack.options import Refused, said_plainly, stack_folder
from tools.stack.terraform import Terraform


@click.command()
@stack_folder
def main(folder: Path) -> None:
    """Initialise the folder with the state that STATE_BUCKET, AWS_REGION and STATE_KEY name."""
    with said_plainly("init"):
        sys.exit(initialise(Terraform(folder)))


def initialise(terraform: Terraform) -> int:
    """Run ``terraform init`` and return its exit status.

    Raises:
        Refused: the package or a variable is missing.
        TerraformFailed: Terraform is not installed.
    """
    try:
        backend = Backend.named(os.environ)
    except StateUnread as why:
        raise Refused(str(why)) from why
    refuse_unpackaged(terraform.folder)
    _forget_plan(terraform.folder, backend)
    # Without -reconfigure, Terraform asks whether to copy the previous state over this one.
    options = ["-input=false", "-reconfigure", *(["-lockfile=readonly"] if os.environ.get("CI") else [])]
    names = {"bucket": backend.bucket, "key": backend.key, "region": backend.region}
    return terraform.run("init", *options, *(f"-backend-config={name}={value}" for name, value in names.items()))


def _forget_plan(folder: Path, backend: Backend) -> None:
    """Delete a saved plan of another state, which ``make apply`` would mistake for a plan of this one."""
    try:
        is_same = Backend.initialised(folder, os.environ) in (None, backend)
    except StateUnread:
        is_same = False
    if not is_same and (folder / PLAN).is_file():
        (folder / PLAN).unlink()
        click.echo(f"{folder.name}/{PLAN} was a plan for another state and was deleted: make plan")


if __name__ == "__main__":
    main()
