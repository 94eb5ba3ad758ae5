"""A function with an alias, as much of it as moves."""

from typing import Any

from tools.release.live_alias import LiveAlias, Traffic


class InUse(Exception):
    """What Lambda answers for a version that an alias is at."""


class FakeFunction:
    """Plays the clients of Lambda and SSM."""

    class exceptions:  # noqa: N801 (boto3's name for it)
        ResourceConflictException = InUse

    def __init__(self, version: str, published: int = 2, in_use: str = "") -> None:
        self.alias: dict[str, Any] = {"FunctionVersion": version, "RoutingConfig": None}
        self.published = [str(number) for number in range(1, published + 1)]
        self.told = version
        self.sent: list[str] = []
        self._in_use = in_use

    def live(self) -> LiveAlias:
        return LiveAlias(self, self, "router", "live", "/router/function_version")

    def get_alias(self, **_names: str) -> dict[str, Any]:
        return self.alias

    def update_alias(self, FunctionVersion: str, RoutingConfig: Any, **_names: str) -> None:  # noqa: N803
        self.alias = {"FunctionVersion": FunctionVersion, "RoutingConfig": RoutingConfig}
        self.sent.append(str(Traffic(FunctionVersion, RoutingConfig["AdditionalVersionWeights"])))

    def put_parameter(self, Value: str, **_names: Any) -> None:  # noqa: N803
        self.told = Value

    def get_paginator(self, _operation: str) -> "FakeFunction":
        return self

    def paginate(self, **_names: str) -> list[dict[str, Any]]:
        described = [
            {"Version": each, "Description": f"0.1.0+g{each}", "LastModified": "today", "CodeSha256": each}
            for each in ("$LATEST", *self.published)
        ]
        return [{"Versions": described[:3]}, {"Versions": described[3:]}]

    def delete_function(self, Qualifier: str, **_names: str) -> None:  # noqa: N803
        if Qualifier == self._in_use:
            raise InUse
        self.published.remove(Qualifier)
