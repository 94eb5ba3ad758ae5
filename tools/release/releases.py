"""``python -m tools.release.releases``: list the published versions, and which of them serve."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from tools.release.live_alias import LiveAlias, Traffic
from tools.release.published_versions import PublishedVersion, prune, published_versions
from tools.stack.deployed import deployed_stack
from tools.stack.options import said_plainly, stack_folder
from tools.stack.terraform import Terraform

_ROW = "{:>7}  {:<28}  {:<28}  {:<12}  {}"
_SHA_CHARACTERS = 12


@click.command()
@stack_folder
@click.option("--json", "for_machines", is_flag=True, help="Print a JSON list, newest first.")
@click.option("--prune", "pruned", is_flag=True, help="First delete all but the newest five and those that serve.")
def main(folder: Path, for_machines: bool, pruned: bool) -> None:
    """List the published versions of the function."""
    with said_plainly("releases"):
        alias = LiveAlias.of(deployed_stack(Terraform(folder)))
        for line in prune(alias) if pruned else ():
            click.echo(line, err=for_machines)
        versions, traffic = published_versions(alias.functions, alias.function), alias.traffic()
        lines = [as_json(versions, traffic)] if for_machines else table(versions, alias.name, traffic)
        for line in lines:
            click.echo(line)


def table(versions: list[PublishedVersion], name: str, traffic: Traffic) -> Iterator[str]:
    """Yield a line for each version, with the alias and its share of the requests for those that serve."""
    yield _ROW.format("version", "build", "published", "code sha256", "alias")
    for each in versions:
        share = traffic.share(str(each.number))
        mark = f"{name} {share:.0%}" if share else ""
        row = _ROW.format(each.number, each.build, each.published_at, each.code_sha256[:_SHA_CHARACTERS], mark)
        yield row.rstrip()


def as_json(versions: list[PublishedVersion], traffic: Traffic) -> str:
    """Return the versions as a JSON list of objects; ``share`` is from 0 to 1."""
    return json.dumps([asdict(each) | {"share": traffic.share(str(each.number))} for each in versions])


if __name__ == "__main__":
    main()
