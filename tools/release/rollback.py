"""``python -m tools.release.rollback``: move the alias to the previous version, or to any other published one.

SSM's ``function_version`` moves with it, so this also repairs an alias that was left behind.
"""

import math
from pathlib import Path

import click

from tools.release.live_alias import LiveAlias, Traffic
from tools.release.published_versions import PublishedVersion, published_versions
from tools.stack.deployed import deployed_stack
from tools.stack.options import Refused, said_plainly, stack_folder
from tools.stack.terraform import Terraform


@click.command()
@stack_folder
@click.option("--version", type=int, help="The version to go to. By default the newest one below the current one.")
def main(folder: Path, version: int | None) -> None:
    """Point the alias at an older version."""
    with said_plainly("rollback"):
        click.echo(rollback(LiveAlias.of(deployed_stack(Terraform(folder))), version))


def rollback(alias: LiveAlias, wanted: int | None) -> str:
    """Send every request to that version; return a sentence that says what was done.

    Raises:
        Refused: the version does not exist, or there is none before the present one.
    """
    before = alias.traffic()
    versions = published_versions(alias.functions, alias.function)
    target = target_of(versions, before.version, wanted)
    alias.send(Traffic(str(target.number)))
    moved = f"alias {alias.name}: from {before} to version {target.number} ({target.build})"
    if target == max(versions):
        moved = f"{moved}, the newest"
    if alias.follower is not None:
        moved = f"{moved}, and {alias.follower.function} to {alias.follower.traffic()}"
    if target == max(versions):
        return f"{moved}."
    return (
        f"{moved}. Only the {alias.what_moves} went back: the API, alarms and parameters stay as applied. The next make"
        " apply moves the alias forward again."
    )


def target_of(versions: list[PublishedVersion], serving: str, wanted: int | None) -> PublishedVersion:
    """Return the wanted version, or the newest below the serving one.

    Raises:
        Refused: there is no such version; the message lists those that exist.
    """
    # An alias at $LATEST, set by hand, is newer than all published versions.
    below = int(serving) if serving.isdigit() else math.inf
    for each in sorted(versions, reverse=True):
        if each.number == wanted or (wanted is None and each.number < below):
            return each
    missing = f"there is no version before {serving}" if wanted is None else f"there is no version {wanted}"
    listed = ", ".join(f"{each.number} ({each.build})" for each in versions) or "none"
    raise Refused(f"{missing}; published versions: {listed}: choose one with make rollback VERSION=n")


if __name__ == "__main__":
    main()
