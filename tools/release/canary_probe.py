"""``python -m tools.release.canary_probe``: probe the running API, and roll back if it is wrong."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
from botocore.exceptions import BotoCoreError, ClientError

from tools.release.live_alias import LiveAlias
from tools.release.published_versions import published_versions
from tools.release.rollback import rollback
from tools.release.verdict import Look, Verdict
from tools.stack.checks import each, unseen
from tools.stack.deployed import DEPLOY, deployed_stack
from tools.stack.findings import Finding, Status
from tools.stack.options import Refused, patience_seconds, said_plainly, stack_folder, stack_url
from tools.stack.patience import Patience
from tools.stack.terraform import Terraform
from tools.verify.caller_token import NoToken, caller_token
from tools.verify.fixes import for_folder
from tools.verify.live import Site, health, refusal
from tools.verify.smoke import smoke


@click.command()
@stack_folder
@stack_url
@click.option("--smoke", "with_job", is_flag=True, help="Also send a job and cancel it; needs a token.")
@patience_seconds
def main(folder: Path, url: str | None, with_job: bool, patience: float) -> None:
    """Probe the API, and roll callers back to the previous version if the newest has a fault."""
    with said_plainly("canary"):
        stack = deployed_stack(Terraform(folder))
        at = url or stack.api_url
        sys.exit(
            canary(
                lambda: for_folder(probe(at, with_job), folder),
                lambda: go_back(LiveAlias.of(stack)),
                Patience(patience),
            )
        )


def canary(look: Look, back: Callable[[], str], patience: Patience) -> Status:
    """Probe until there is a verdict; roll back what is wrong.

    Args:
        look: the probes.
        back: goes back to the previous version and returns a message; raises Refused if there is no newer version to
            leave.
        patience: how long something must be wrong.
    """
    status = Verdict(look, patience).reach()
    if status is Status.FAILED:
        click.echo("canary: no fault was found, but some checks could not run, so callers stay where they are")
    if status is not Status.DIFFERS:
        return status
    try:
        said = back()
    except (Refused, ClientError, BotoCoreError) as why_not:
        click.echo(f"canary: wrong for {patience.seconds:g} s, but callers stay where they are: {why_not}")
        return Status.DIFFERS
    click.echo(f"canary: wrong for {patience.seconds:g} s. {said}")
    return Status.TAKEN_BACK


def probe(url: str, with_job: bool) -> Iterator[Finding]:
    """Yield what callers would meet; with ``with_job`` also a job, which is cancelled again."""
    site = Site.of(url, 0)
    yield from each(
        {
            "GET /health": lambda: health(site, None, None, DEPLOY),
            "POST /v1/jobs without a token": lambda: refusal(site, DEPLOY),
        }
    )
    if with_job:
        yield from _job(url)


def _job(url: str) -> Iterable[Finding]:
    try:
        token = caller_token(os.environ)
    except NoToken as error:
        return [unseen("a job", str(error))]
    return smoke(url, token, with_result=False)


def go_back(alias: LiveAlias) -> str:
    """Leave the newest version, once: a fault in older versions too would otherwise roll back one after the other.

    Raises:
        Refused: callers are at an older version already, or there is none.
    """
    newest = max(version.number for version in published_versions(alias.functions, alias.function))
    if alias.traffic().version != str(newest):
        raise Refused("they already use an older version, so this is not a fault of the newest release")
    return rollback(alias, None)


if __name__ == "__main__":
    main()
