"""The check of a release: only what is seen to be wrong with it is taken back."""

from collections.abc import Callable, Iterable

import click
from botocore.exceptions import BotoCoreError, ClientError

from tools.release.live_alias import LiveAlias, Traffic
from tools.release.verdict import Look, Verdict
from tools.stack.deployed import DeployedStack
from tools.stack.findings import Finding, Status
from tools.stack.patience import Patience
from tools.stack.signals import Stopped, undisturbed

type Verify = Callable[[DeployedStack], Iterable[Finding]]


def prove(alias: LiveAlias, before: Traffic | None, look: Look, patience: Patience) -> Status:
    """Check until there is a verdict; send callers back to where they were if something is wrong.

    Args:
        alias: the alias that was moved.
        before: where it was; None for the first release.
        look: yields new findings at each look.
        patience: how long something must be wrong.
    """
    verdict = Verdict(look, patience)
    try:
        status = verdict.reach()
    except (Stopped, KeyboardInterrupt):
        if verdict.status is Status.DIFFERS:
            take_back(alias, before)
        else:
            click.echo(f"alias {alias.name}: stopped before all checks had run. {_left(before)}")
        raise
    if status is Status.DIFFERS:
        return take_back(alias, before)
    if status is Status.FAILED:
        click.echo(f"alias {alias.name}: no fault was found, but some checks could not run. {_left(before)}")
    return status


def take_back(alias: LiveAlias, before: Traffic | None) -> Status:
    """Send callers back, and report it; return DIFFERS if they never left or cannot go back."""
    try:
        now = alias.traffic()
        if before is not None and before != now:
            with undisturbed():
                alias.send(before)
    except (ClientError, BotoCoreError) as error:
        click.echo(f"alias {alias.name}: could not be taken back to {before}: {error}. Try again with: make rollback")
        return Status.DIFFERS
    if before is None:
        click.echo(f"alias {alias.name}: there is no earlier version, so {now} keeps serving: fix it and apply again")
        return Status.DIFFERS
    if before == now:
        click.echo(f"alias {alias.name}: was already at {now} before, so there is nothing to take back")
        return Status.DIFFERS
    click.echo(
        f"alias {alias.name}: taken back from {now} to {before}. Only the {alias.what_moves} went back: the API, alarms"
        " and parameters stay as applied. Fix the fault, then make package && make plan && make apply"
    )
    return Status.TAKEN_BACK


def _left(before: Traffic | None) -> str:
    """Return what to do about a release that could not be checked."""
    way_back = "" if before is None else f"; if that finds a fault, make rollback sends callers to {before}"
    return f"The release keeps serving. Follow the fixes of the UNSEEN lines, then make verify{way_back}."
