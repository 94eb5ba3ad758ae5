"""``python -m tools.verify``: check that what runs is what was built."""

import sys
from pathlib import Path

import click

from tools.stack.findings import report
from tools.stack.options import stack_folder, stack_url
from tools.stack.terraform import Terraform
from tools.verify.stack import here


@click.command()
@stack_folder
@stack_url
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(folder: Path, url: str | None, as_json: bool) -> None:
    """Compare what is deployed with the package in terraform/."""
    sys.exit(report(here(Terraform(folder), url), as_json=as_json))


if __name__ == "__main__":
    main()
