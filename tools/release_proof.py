"""What was released is proved, or taken back."""

from collections.abc import Callable, Iterable

import click

from tools.deployed_stack import DeployedStack
from tools.findings import Finding, Status, report
from tools.live_alias import LiveAlias, Traffic
from tools.stop_signals import undisturbed

type Verify = Callable[[DeployedStack], Iterable[Finding]]


def prove(alias: LiveAlias, before: Traffic | None, findings: Iterable[Finding]) -> Status:
    """Print the findings; send callers back to where they were before unless all is well.

    Args:
        alias: what was moved.
        before: where it was; None for the first release.
        findings: made one by one, so that the alias goes back when somebody stops this half-way, too.
    """
    status, moved_back = Status.FAILED, False
    try:
        status = report(findings, as_json=False)
    finally:
        if status is not Status.OK:
            moved_back = take_back(alias, before)
    return Status.TAKEN_BACK if moved_back else status


def take_back(alias: LiveAlias, before: Traffic | None) -> bool:
    """Send callers back there, and say so; False where they never left."""
    now = alias.traffic()
    if before is None:
        click.echo(
            f"alias {alias.name}: there was no version before, so {now} goes on serving: mend it and apply again"
        )
        return False
    if before == now:
        click.echo(f"alias {alias.name}: was at {now} before, too, so there is nothing to take back")
        return False
    with undisturbed():
        alias.send(before)
    click.echo(
        f"alias {alias.name}: taken back from {now} to {before}. Only the function went back: API, alarms and"
        " parameters are as they were applied. Mend it, then make package && make plan && make apply"
    )
    return True
