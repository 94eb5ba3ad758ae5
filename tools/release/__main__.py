"""``python -m tools.release``: move callers to the newest version gradually, while watching the alarms."""

import sys
from functools import partial
from pathlib import Path

import click

from tools.release.canary import Alarms, Canary, NobodyWatches, WentOff
from tools.release.live_alias import LiveAlias, Traffic
from tools.release.proof import prove
from tools.release.pruning import prune
from tools.release.published_versions import published_versions
from tools.release.verdict import Look
from tools.stack.deployed import deployed_stack
from tools.stack.findings import Status
from tools.stack.options import patience_seconds, said_plainly, stack_folder, stack_url
from tools.stack.patience import Patience
from tools.stack.repository import package_folder
from tools.stack.signals import Stopped, stoppable
from tools.stack.terraform import Terraform
from tools.verify.fixes import for_folder
from tools.verify.stack import verify

_PERCENT, _SECONDS_A_MINUTE = 100, 60


@click.command()
@stack_folder
@stack_url
@click.option("--canary", default=10, show_default=True, type=click.IntRange(1, 99), help="Percent of the requests.")
@click.option(
    "--minutes", default=5.0, show_default=True, type=click.FloatRange(min=0), help="Before it gets all requests."
)
@patience_seconds
def main(folder: Path, url: str | None, canary: int, minutes: float, patience: float) -> None:
    """Send a share of the requests to the newest version, and then all of them if no alarm goes off."""
    with said_plainly("release"):
        stack = deployed_stack(Terraform(folder))
        how = Canary(canary / _PERCENT, minutes * _SECONDS_A_MINUTE)
        with stoppable():
            look = partial(verify, stack, url, folder=package_folder(folder), patience=0)
            alias, alarms = LiveAlias.of(stack), Alarms.of(stack)
            sys.exit(release(alias, alarms, how, lambda: for_folder(look(), folder), Patience(patience)))


def release(alias: LiveAlias, alarms: Alarms, canary: Canary, look: Look, patience: Patience) -> Status:
    """Release the newest version, verify it, and prune; return the exit status.

    Args:
        look: checks what callers get once all of them have been moved.
        patience: how long something must be wrong before the release is taken back.

    Raises:
        Refused: before anything was changed.
    """
    before, newest = Traffic(alias.traffic().version), published_versions(alias.functions, alias.function)[0]
    if before.version == str(newest.number):
        alias.send(before)
        click.echo(f"alias {alias.name}: already at {before} ({newest.build}), the newest: there is nothing to release")
        return Status.OK
    click.echo(
        f"alias {alias.name}: {canary.weight:.0%} of the requests to version {newest.number} ({newest.build}) for"
        f" {canary.seconds:.0f} s, the rest to {before}; watching {len(alarms.names)} alarms"
    )
    try:
        canary.release(alias, str(newest.number), alarms)
    except (WentOff, Stopped) as why:
        click.echo(f"alias {alias.name}: taken back to {before}: {why}")
        return Status.TAKEN_BACK
    except NobodyWatches as why:
        click.echo(f"alias {alias.name}: still at {before}, nothing is released: {why}; run make release again")
        return Status.FAILED
    click.echo(f"alias {alias.name}: all requests go to version {newest.number}")
    status = prove(alias, before, look, patience)
    for line in prune(alias) if status is Status.OK else ():
        click.echo(line)
    return status


if __name__ == "__main__":
    main()
