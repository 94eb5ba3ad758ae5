"""``python -m tools.release.releases``: list the published versions, and which of them serve."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

import click

from tools.release.live_alias import LiveAlias, Traffic
from tools.release.pruning import prune
from tools.release.published_versions import PublishedVersion, contemporary, published_versions
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
        streaming = belonging(alias, versions)
        lines = (
            [as_json(versions, traffic, streaming)] if for_machines else table(versions, alias.name, traffic, streaming)
        )
        for line in lines:
            click.echo(line)


def belonging(alias: LiveAlias, versions: list[PublishedVersion]) -> dict[int, str]:
    """Return the streaming function's version that belongs to each; empty without streaming."""
    if alias.follower is None:
        return {}
    followers = published_versions(alias.functions, alias.follower.function)
    return {each.number: contemporary(str(each.number), versions, followers) for each in versions}


def table(
    versions: list[PublishedVersion], name: str, traffic: Traffic, streaming: Mapping[int, str] = MappingProxyType({})
) -> Iterator[str]:
    """Yield a line for each version, with the alias and its share of the requests for those that serve.

    With streaming, a column has the version of the streaming function that serves along with it.
    """
    row = _ROW.replace("  ", "  {:>6}  ", 1) if streaming else _ROW
    yield row.format("version", *["stream"] * bool(streaming), "build", "published", "code sha256", "alias")
    for each in versions:
        share = traffic.share(str(each.number))
        mark = f"{name} {share:.0%}" if share else ""
        also = [streaming[each.number]] if streaming else []
        sha = each.code_sha256[:_SHA_CHARACTERS]
        yield row.format(each.number, *also, each.build, each.published_at, sha, mark).rstrip()


def as_json(
    versions: list[PublishedVersion], traffic: Traffic, streaming: Mapping[int, str] = MappingProxyType({})
) -> str:
    """Return the versions as a JSON list of objects; ``share`` is from 0 to 1."""
    return json.dumps(
        [
            asdict(each)
            | {"share": traffic.share(str(each.number))}
            | ({"stream_version": streaming[each.number]} if streaming else {})
            for each in versions
        ]
    )


if __name__ == "__main__":
    main()
