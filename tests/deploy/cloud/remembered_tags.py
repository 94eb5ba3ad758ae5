"""Tags of APIs, stages and log groups, as the calls that were recorded set them: what IAM's conditions look at."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_API = re.compile(r"(/restapis/[^/]+)(/stages/[^/]+)?")

type Tags = dict[str, str]


def requested(tags: Mapping[str, str]) -> Tags:
    """The condition keys of a call that gives these."""
    return {f"aws:RequestTag/{name}": value for name, value in tags.items()}


@dataclass
class RememberedTags:
    """Of each resource, by its ARN, or for API Gateway by its path."""

    _of: dict[str, Tags] = field(default_factory=dict)
    _newest_api: Tags = field(default_factory=dict)

    def of(self, name: str) -> Tags:
        """The condition keys of a call about it."""
        return {f"aws:ResourceTag/{tag}": value for tag, value in self._of.get(name, {}).items()}

    def of_api(self, path: str) -> Tags:
        """What is below an API inherits its tags; a stage's own count before them.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
        """
        if (found := _API.match(path)) is None:
            return {}
        if found[1] not in self._of:  # its id was in the answer to the call that made it
            self._of[found[1]], self._newest_api = self._newest_api, {}
        return self.of(found[1]) | (self.of(found[0]) if found[2] else {})

    def made(self, path: str, stage: str, tags: Tags) -> None:
        """By POST to a collection."""
        if path == "/restapis":
            self._newest_api = dict(tags)
        else:
            self.add(f"{path}/{stage}", tags)

    def add(self, name: str, tags: Mapping[str, str]) -> None:
        self._of[name] = self._of.get(name, {}) | dict(tags)

    def drop(self, name: str, names: Iterable[str]) -> None:
        for each in names:
            self._of.get(name, {}).pop(each, None)

    def forget(self, name: str) -> None:
        self._of.pop(name, None)
