"""``python -m tools.deploy.outputs``: the stack's outputs, read from Terraform's state."""

import json
from pathlib import Path

import click

from tools.stack.deployed import outputs_of
from tools.stack.options import Refused, said_plainly, stack_folder
from tools.stack.terraform import Terraform


@click.command()
@stack_folder
@click.option("--name", help="Print only this output, without quotes.")
def main(folder: Path, name: str | None) -> None:
    """Print the stack's outputs as JSON, or one of them."""
    with said_plainly("outputs"):
        outputs = outputs_of(Terraform(folder))
        if name and name not in outputs:
            raise Refused(f"no output {name}; the outputs are {', '.join(sorted(outputs))}")
        value = outputs[name] if name else dict(outputs)
        click.echo(value if isinstance(value, str) else json.dumps(value, indent=2))


if __name__ == "__main__":
    main()
