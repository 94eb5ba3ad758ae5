"""The aliases that API Gateway calls, and the SSM parameters with the versions that they serve: all move together.

The first function's alias leads: what moves callers names one of its versions. The streaming function's alias follows
to the version that belongs to that one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tools.release.published_versions import contemporary, published_versions
from tools.stack.aws import client
from tools.stack.deployed import DeployedFunction, DeployedStack


@dataclass(frozen=True)
class Traffic:
    """The routing of an alias.

    Attributes:
        version: the published version that the alias points to.
        weights: share of the requests, above 0 and below 1, that each other version gets instead.
    """

    version: str
    weights: Mapping[str, float] = field(default_factory=dict)

    def share(self, version: str) -> float:
        """Return the version's share, from 0 to 1."""
        return 1 - sum(self.weights.values()) if version == self.version else self.weights.get(version, 0)

    def __str__(self) -> str:
        parts = [f"{share:.0%} to version {version}" for version, share in self.weights.items()]
        return f"version {self.version}" + (f", {', '.join(parts)}" if parts else "")


@dataclass(frozen=True)
class LiveAlias:
    """One alias of one function.

    Attributes:
        functions: a client of Lambda.
        parameters: a client of SSM.
        function: name of the function.
        name: name of the alias.
        parameter: name of the SSM parameter that holds the version; Terraform created it.
        follower: the alias of the streaming function; None without streaming.
    """

    functions: Any
    parameters: Any
    function: str
    name: str
    parameter: str
    follower: "LiveAlias | None" = None

    @classmethod
    def of(cls, stack: DeployedStack) -> Self:
        follower = cls._one(stack, stack.streaming, "stream_function_version") if stack.streaming else None
        return cls._one(stack, stack.function, "function_version", follower)

    @classmethod
    def _one(
        cls, stack: DeployedStack, function: DeployedFunction, parameter: str, follower: "LiveAlias | None" = None
    ) -> Self:
        return cls(
            functions=client("lambda", stack.region),
            parameters=client("ssm", stack.region),
            function=function.function_name,
            name=function.function_alias,
            parameter=stack.ssm_parameters[parameter],
            follower=follower,
        )

    @property
    def what_moves(self) -> str:
        """The word for what moves with the alias."""
        return "function" if self.follower is None else "functions"

    def traffic(self) -> Traffic:
        alias = self.functions.get_alias(FunctionName=self.function, Name=self.name)
        weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights", {})
        return Traffic(alias["FunctionVersion"], weights)

    def send(self, traffic: Traffic) -> None:
        """Send requests there from now on, and publish the alias's version in SSM; the follower goes along."""
        # Looked up first: what cannot be looked up must not part the two.
        following = self._of_follower(traffic, self.follower) if self.follower else None
        self.functions.update_alias(
            FunctionName=self.function,
            Name=self.name,
            FunctionVersion=traffic.version,
            RoutingConfig={"AdditionalVersionWeights": dict(traffic.weights)},
        )
        self.parameters.put_parameter(Name=self.parameter, Value=traffic.version, Overwrite=True)
        if self.follower is not None and following is not None:
            self.follower.send(following)

    def _of_follower(self, traffic: Traffic, follower: "LiveAlias") -> Traffic:
        """Return the routing of the follower that belongs to a routing of this alias."""
        leaders = published_versions(self.functions, self.function)
        followers = published_versions(self.functions, follower.function)

        def belonging(version: str) -> str:
            return contemporary(version, leaders, followers)

        main = belonging(traffic.version)
        weights = {belonging(version): share for version, share in traffic.weights.items()}
        return Traffic(main, {version: share for version, share in weights.items() if version != main})
