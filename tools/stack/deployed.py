"""The deployed stack as Terraform's state records it: where each part is, and what was last applied."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self

from tools.stack.aws import client, command
from tools.stack.terraform import Terraform

#: The commands that repair whatever Terraform can see.
DEPLOY = "make package && make plan && make apply"


class NoStack(Exception):
    """Terraform's state has no such stack; the message says what to do."""


@dataclass(frozen=True)
class DeployedFunction:
    """One of the stack's functions; each field has the name and meaning of an output for the first function.

    The output ``stream_function`` has the same names.
    """

    api_source_arn: str
    code_sha256: str
    function_alias: str
    function_arn: str
    function_invoke_arn: str
    function_name: str
    function_variables: Mapping[str, str]


@dataclass(frozen=True)
class DeployedStack:
    """The stack's outputs; each field has the name and meaning of an output in ``terraform/outputs.tf``.

    The values are those of the last apply. AWS may differ by now, which ``tools.verify`` checks.
    """

    alarms: Sequence[str]
    api_body: str
    api_id: str
    api_source_arn: str
    api_stage_name: str
    api_url: str
    code_sha256: str
    function_alias: str
    function_arn: str
    function_invoke_arn: str
    function_name: str
    function_variables: Mapping[str, str]
    log_groups: Mapping[str, str]
    log_retention_days: int
    region: str
    ssm_parameters: Mapping[str, str]
    # Added after the first release; a state from before it lacks these.
    custom_domain: Mapping[str, str] = field(default_factory=dict)
    default_endpoint: bool = True
    stream_function: Mapping[str, Any] | None = None

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> Self:
        """Return the stack with these outputs.

        Raises:
            NoStack: an older checkout applied it, with fewer outputs.
        """
        names = [each.name for each in fields(cls)]
        needed = [each.name for each in fields(cls) if each.default is each.default_factory is MISSING]
        if missing := [name for name in needed if name not in outputs]:
            raise NoStack(f"Terraform's state has no output {missing[0]}, so an older checkout deployed it: {DEPLOY}")
        return cls(**{name: outputs[name] for name in names if name in outputs})

    @property
    def function(self) -> DeployedFunction:
        """The first function, which serves all paths that do not stream."""
        return DeployedFunction(**{each.name: getattr(self, each.name) for each in fields(DeployedFunction)})

    @property
    def streaming(self) -> DeployedFunction | None:
        """The streaming function; None without streaming."""
        return DeployedFunction(**self.stream_function) if self.stream_function else None

    def aws(self, service: str) -> Any:
        """Return a client of that service in the stack's region."""
        return client(service, self.region)

    def command(self, action: str, **options: str | bool) -> str:
        """Return a command of the AWS CLI for the stack's region."""
        return command(action, self.region, **options)


def deployed_stack(terraform: Terraform | None = None) -> DeployedStack:
    """Return the stack whose state ``terraform/`` was initialised with, or which the environment names.

    Raises:
        NoStack: nothing was applied yet.
        TerraformFailed: the state cannot be read.
    """
    return DeployedStack.from_outputs(outputs_of(terraform or Terraform()))


def outputs_of(terraform: Terraform) -> Mapping[str, Any]:
    """Return the outputs of the stack, by name.

    Raises:
        NoStack: nothing was applied yet.
        TerraformFailed: the state cannot be read.
    """
    outputs = terraform.outputs()
    if not outputs:
        raise NoStack(
            f"{terraform.state} has no outputs: if that is the right state, nothing is deployed yet: {DEPLOY};"
            " otherwise set STATE_BUCKET and STATE_KEY"
        )
    return outputs
