"""``python -m tools.deploy.destroy``: terraform destroy, for the stack that the variables name and no other."""

import sys
from pathlib import Path

import click

from tools.deploy.ready import refuse_unready
from tools.stack.options import said_plainly, stack_folder
from tools.stack.terraform import Terraform


@click.command()
@stack_folder
def main(folder: Path) -> None:
    """Destroy the stack, after Terraform has shown the plan and you have confirmed it."""
    with said_plainly("destroy"):
        refuse_unready(folder)
        sys.exit(Terraform(folder).run_locked("destroy"))


if __name__ == "__main__":
    main()
