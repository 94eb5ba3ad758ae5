"""The published versions that are kept, and the deletion of the others."""

from collections.abc import Collection, Iterator

from tools.release.live_alias import LiveAlias, Traffic
from tools.release.published_versions import PublishedVersion, contemporary, published_versions

#: Enough to go back beyond a bad week. Each takes its share of the region's 75 GB of code (gettingstarted-limits).
KEPT = 5


def prunable(
    versions: list[PublishedVersion], traffic: Traffic, belonging: Collection[str] = ()
) -> list[PublishedVersion]:
    """Return all but the newest five, those that serve, and those that belong to a kept one, whatever their age."""
    newest = sorted(versions, reverse=True)[:KEPT]
    serving = [each for each in versions if traffic.share(str(each.number)) > 0]
    return [each for each in versions if each not in newest + serving and str(each.number) not in belonging]


def prune(alias: LiveAlias) -> Iterator[str]:
    """Delete the prunable versions, also those of the function that follows; yield a line for each."""
    yield from _pruned(alias, "")
    if alias.follower is not None:
        leaders = published_versions(alias.functions, alias.function)
        followers = published_versions(alias.functions, alias.follower.function)
        belonging = {contemporary(str(each.number), leaders, followers) for each in leaders}
        yield from _pruned(alias.follower, f" of {alias.follower.function}", belonging)


def _pruned(alias: LiveAlias, of: str, belonging: Collection[str] = ()) -> Iterator[str]:
    for each in prunable(published_versions(alias.functions, alias.function), alias.traffic(), belonging):
        version = f"version {each.number}{of} ({each.build})"
        try:
            alias.functions.delete_function(FunctionName=alias.function, Qualifier=str(each.number))
        except alias.functions.exceptions.ResourceConflictException:
            yield f"{version} kept: another alias points to it"
        else:
            yield f"{version} deleted: {KEPT} newer ones are kept"
