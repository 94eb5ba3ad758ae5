"""``python -m tools.canary_probe``: looks at the running API, and goes back to the version before if it fails twice."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from tools.caller_token import NoToken, caller_token
from tools.checks import each
from tools.deployed_stack import DEPLOY, deployed_stack
from tools.findings import Finding, Status, lines, status_of
from tools.live_alias import LiveAlias
from tools.published_versions import published_versions
from tools.release_refusal import said_plainly, stack_folder, stack_url
from tools.rollback import rollback
from tools.smoke import smoke
from tools.terraform_cli import Terraform
from tools.verify_live import Site, health, refusal

PAUSE_SECONDS = 60.0


@click.command()
@stack_folder
@stack_url
@click.option("--smoke", "with_job", is_flag=True, help="A job too, which is cancelled again; needs a token.")
@click.option("--pause", default=PAUSE_SECONDS, show_default=True, help="Seconds between a failure and another look.")
def main(folder: Path, url: str | None, with_job: bool, pause: float) -> None:
    """Probe the API: 0 well, 3 not well, 4 not well and callers are back at the version before, 1 no answer."""
    with said_plainly("canary"):
        stack = deployed_stack(Terraform(folder))
        token = _token() if with_job else None
        sys.exit(
            canary(
                lambda: probe(url or stack.api_url, token), lambda: go_back(LiveAlias.of(stack)), pause_seconds=pause
            )
        )


def canary(look: Callable[[], Iterable[Finding]], back: Callable[[], str | None], *, pause_seconds: float) -> Status:
    """Look, and again after a pause where that failed; what fails twice is taken back.

    No answer at all is no reason to go back: it says nothing about the version.

    Args:
        look: the probes.
        back: goes back to the version before and says so; None where there is no newer version to leave.
        pause_seconds: long enough for a fault that passes.
    """
    if (status := _shown(look())) is Status.OK:
        return status
    click.echo(f"canary: once more in {pause_seconds:g} s")
    time.sleep(pause_seconds)
    if (status := _shown(look())) is not Status.DIFFERS:
        return status
    said = back()
    click.echo(
        f"canary: failed twice. {said or 'Callers are at an older version already, so this is no release of ours.'}"
    )
    return Status.DIFFERS if said is None else Status.TAKEN_BACK


def probe(url: str, token: str | None) -> Iterator[Finding]:
    """What callers would meet; with a token a job, too, that is cancelled again."""
    site = Site(url, patience_seconds=0)
    yield from each(
        {
            "GET /health": lambda: health(site, None, None, DEPLOY),
            "POST /v1/jobs without a token": lambda: refusal(site, DEPLOY),
        }
    )
    if token is not None:
        yield from smoke(url, token, with_result=False)


def go_back(alias: LiveAlias) -> str | None:
    """Leave the newest version, once: a fault that older versions have, too, would take back one after the other."""
    newest = max(version.number for version in published_versions(alias.functions, alias.function))
    return rollback(alias, None) if alias.traffic().version == str(newest) else None


def _shown(findings: Iterable[Finding]) -> Status:
    seen = list(findings)
    for finding in seen:
        click.echo("\n".join(lines(finding)))
    return status_of(seen)


def _token() -> str:
    try:
        return caller_token(os.environ)
    except NoToken as error:
        sys.exit(f"canary: {error}")


if __name__ == "__main__":
    main()
