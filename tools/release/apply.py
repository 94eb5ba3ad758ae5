"""``python -m tools.release.apply``: apply the saved plan with its zip, verify, and take back what fails."""

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import click

from tools.deploy.saved_plan import PLAN, SavedPlan
from tools.release.live_alias import LiveAlias, Traffic
from tools.release.proof import Verify, prove, take_back
from tools.release.pruning import prune
from tools.release.published_versions import published_versions
from tools.stack.deployed import DeployedStack, NoStack, deployed_stack
from tools.stack.findings import Status
from tools.stack.options import patience_seconds, said_plainly, stack_folder, stack_url
from tools.stack.patience import Patience
from tools.stack.signals import stoppable
from tools.stack.terraform import Terraform, program
from tools.verify.stack import verify

type AliasOf = Callable[[DeployedStack], LiveAlias]


@click.command()
@stack_folder
@stack_url
@patience_seconds
@click.option("--dirty", is_flag=True, help="Allow a build with uncommitted changes.")
def main(folder: Path, url: str | None, patience: float, dirty: bool) -> None:
    """Apply the saved plan, verify, and roll the alias back if a check finds a fault."""
    with said_plainly("apply"), stoppable():
        proof = partial(verify, url=url, folder=folder, patience=0)
        sys.exit(apply(Terraform(folder), proof, Patience(patience), dirty=dirty))


def apply(
    terraform: Terraform, proof: Verify, patience: Patience, *, dirty: bool = False, alias_of: AliasOf = LiveAlias.of
) -> Status:
    """Apply the plan and verify the result; return the exit status.

    Args:
        terraform: in the stack's folder.
        proof: the checks after the plan is applied.
        patience: how long something must be wrong before the alias is taken back.
        dirty: whether a build with uncommitted changes may be applied.
        alias_of: finds the alias of a stack.

    Raises:
        Refused: before anything was changed.
    """
    plan = SavedPlan.of(terraform)
    plan.refuse_another_zip(terraform.folder)
    if not dirty:
        plan.refuse_dirty()
    alias: LiveAlias | None = None
    with suppress(NoStack):
        alias = alias_of(deployed_stack(terraform))
    before = alias.traffic() if alias else None
    if terraform.run_locked("apply", "-input=false", PLAN) != 0:
        return _failed(alias, before)
    (terraform.folder / PLAN).unlink()  # a plan can be applied only once
    stack = deployed_stack(terraform)
    alias = alias_of(stack)
    if not plan.moves_alias:
        click.echo(_waiting(alias))
        return Status.OK
    status = prove(alias, before, lambda: proof(stack), patience)
    for line in prune(alias) if status is Status.OK else ():
        click.echo(line)
    return status


def _failed(alias: LiveAlias | None, before: Traffic | None) -> Status:
    """Take the alias back after Terraform stopped half-way, perhaps after it had moved the alias.

    Unlike a probe that could not look, this failure was seen: what the new version needs may be missing.
    """
    click.echo(f"apply: {program()} failed; its output above says why. Fix that, then make plan && make apply")
    if alias is not None and take_back(alias, before) is Status.TAKEN_BACK:
        return Status.TAKEN_BACK
    return Status.FAILED


def _waiting(alias: LiveAlias) -> str:
    newest = published_versions(alias.functions, alias.function)[0]
    return (
        f"alias {alias.name}: still at {alias.traffic()}; the newest version is {newest.number} ({newest.build}):"
        " make release CANARY=10 MINUTES=5"
    )


if __name__ == "__main__":
    main()
