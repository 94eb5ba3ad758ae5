"""The alias that API Gateway calls, and the SSM parameter with the version that it serves: they move together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tools.stack.aws import client
from tools.stack.deployed import DeployedStack


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
    """

    functions: Any
    parameters: Any
    function: str
    name: str
    parameter: str

    @classmethod
    def of(cls, stack: DeployedStack) -> Self:
        return cls(
            functions=client("lambda", stack.region),
            parameters=client("ssm", stack.region),
            function=stack.function_name,
            name=stack.function_alias,
            parameter=stack.ssm_parameters["function_version"],
        )

    def traffic(self) -> Traffic:
        alias = self.functions.get_alias(FunctionName=self.function, Name=self.name)
        weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights", {})
        return Traffic(alias["FunctionVersion"], weights)

    def send(self, traffic: Traffic) -> None:
        """Send requests there from now on, and publish the alias's version in SSM."""
        self.functions.update_alias(
            FunctionName=self.function,
            Name=self.name,
            FunctionVersion=traffic.version,
            RoutingConfig={"AdditionalVersionWeights": dict(traffic.weights)},
        )
        self.parameters.put_parameter(Name=self.parameter, Value=traffic.version, Overwrite=True)
