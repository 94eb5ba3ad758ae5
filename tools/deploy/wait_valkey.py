"""``make wait-valkey``: wait until the instance of ``terraform/modules/valkey`` has published address and users."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tools.stack.aws import client, command
from tools.stack.options import Refused, said_plainly
from tools.stack.patience import Patience
from tools.stack.terraform import TerraformFailed, terraform_path

_PAUSE_SECONDS = 5.0
#: The root module's output with the module's output ``wait_for``.
OUTPUT = "valkey_wait_for"


@dataclass(frozen=True)
class Instance:
    """One instance, and the parameter in which it says that it is ready."""

    instance_id: str
    parameter: str
    region: str

    @classmethod
    def of(cls, folder: Path) -> "Instance":
        """Return the instance that Terraform made in that folder.

        Raises:
            Refused: the state there has no such output, or another one.
            TerraformFailed: Terraform is missing, or the state cannot be read.
        """
        found = _outputs(folder).get(OUTPUT, {}).get("value")
        try:
            return cls(**found)
        except TypeError:
            raise Refused(
                f"the output {OUTPUT} in {folder} is {json.dumps(found)}, wanted the module's output wait_for:"
                f' output "{OUTPUT}" {{ value = module.valkey.wait_for }}, then terraform apply'
            ) from None

    def state(self) -> Mapping[str, Any]:
        """Return what this instance published; nothing before that, whatever an earlier instance left there.

        Raises:
            ClientError: the parameter cannot be read.
        """
        ssm = client("ssm", self.region)
        try:
            told = json.loads(ssm.get_parameter(Name=self.parameter)["Parameter"]["Value"])
        except (ssm.exceptions.ParameterNotFound, ValueError):
            return {}
        return told if isinstance(told, dict) and told.get("instance") == self.instance_id else {}

    def where_to_look(self) -> str:
        """Return the commands that show what the first boot did."""
        session = command("ssm start-session", self.region, target=self.instance_id)
        console = command(
            "ec2 get-console-output", self.region, instance_id=self.instance_id, latest=True, output="text"
        )
        return f"{session}, then sudo tail -n 50 /var/log/cloud-init-output.log; or, without a way in: {console}"


def _outputs(folder: Path) -> dict[str, Any]:
    """Return the outputs of a root module, wherever its state is."""
    asked = [terraform_path(), f"-chdir={folder}", "output", "-json"]
    ran = subprocess.run(asked, check=False, capture_output=True, text=True)
    if ran.returncode != 0:
        raise TerraformFailed(ran.stderr.strip()[-500:])
    return dict(json.loads(ran.stdout))


def wait(instance: Instance, patience: Patience) -> None:
    """Return once the instance is ready.

    Raises:
        Refused: its first boot failed, or said nothing in time.
        ClientError: the parameter cannot be read.
    """
    while True:
        state = instance.state()
        if state.get("state") == "ready":
            return
        if state.get("state") == "failed":
            step, where = state.get("step"), instance.where_to_look()
            raise Refused(f"the first boot of {instance.instance_id} failed at step {step}: {where}")
        if not patience.again():
            raise Refused(
                f"{instance.instance_id} published nothing in {instance.parameter} within"
                f" {patience.seconds / 60:g} minutes: {instance.where_to_look()}"
            )


@click.command()
@click.option(
    "--folder",
    default=Path("terraform/examples/complete"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help=f"Folder of the root module, in which terraform apply was run, with an output {OUTPUT}.",
)
@click.option("--minutes", default=15.0, show_default=True, type=click.FloatRange(min=0), help="Minutes to wait.")
def main(folder: Path, minutes: float) -> None:
    """Wait until the instance with Valkey has published how to reach it; three minutes as a rule."""
    with said_plainly("wait-valkey"):
        instance = Instance.of(folder)
        print(f"waiting for {instance.instance_id}, at most {minutes:g} minutes", file=sys.stderr)
        wait(instance, Patience(minutes * 60, _PAUSE_SECONDS))
        print(f"{instance.instance_id} is ready", file=sys.stderr)


if __name__ == "__main__":
    main()
