"""Checks of the SSM parameters that publish where the stack is, and of how long log lines are kept."""

from collections.abc import Iterator, Sequence

from tools.stack.deployed import DeployedStack
from tools.stack.findings import Finding, compared
from tools.verify.function import Function

#: The beginning of the names of those parameters that are about the streaming function.
_STREAM = "stream_"


def parameters(stack: DeployedStack, functions: Sequence[Function]) -> Iterator[Finding]:
    """Check each SSM parameter that publishes where this stack is."""
    names = sorted(stack.ssm_parameters.values())
    answer = stack.aws("ssm").get_parameters(Names=names)
    found = {parameter["Name"]: parameter["Value"] for parameter in answer["Parameters"]}
    for key, name in sorted(stack.ssm_parameters.items()):
        moves = key.endswith("function_version")
        wanted = _wanted(stack, functions, key)
        put = stack.command("ssm put-parameter", name=name, value=wanted, type="String", overwrite=True)
        yield compared(
            f"SSM {name}",
            found.get(name, "no such parameter"),
            wanted,
            why="clients and other stacks that read it use something other than what serves requests",
            fix="make plan && make apply" if moves else put,  # the alias may be the one that is wrong
        )


def _wanted(stack: DeployedStack, functions: Sequence[Function], key: str) -> str:
    function = functions[-1] if key.startswith(_STREAM) else functions[0]
    name = key.removeprefix(_STREAM)
    if name == "function_version":
        return str(function.alias["FunctionVersion"])
    return str(getattr(function.applied, name, None) or getattr(stack, name))


def retention(stack: DeployedStack) -> Iterator[Finding]:
    """Check the retention of each log group."""
    for name in sorted(stack.log_groups.values()):
        put = stack.command(
            "logs put-retention-policy", log_group_name=name, retention_in_days=str(stack.log_retention_days)
        )
        pages = stack.aws("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
        groups = {group["logGroupName"]: group for page in pages for group in page["logGroups"]}
        days = groups.get(name, {}).get("retentionInDays")
        found = "no such group" if name not in groups else f"{days} days" if days else "kept forever"
        yield compared(
            f"log group {name}",
            found,
            f"{stack.log_retention_days} days",
            why="log lines kept too long cost money and privacy; log lines deleted too early cannot explain a fault",
            fix="make plan && make apply" if found == "no such group" else put,
        )
