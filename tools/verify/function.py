"""Checks that each function is what was built: its code, its alias, who may call it, its variables."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from chalicelib.settings import Settings, SettingsError
from tools.stack.deployed import DEPLOY, DeployedFunction, DeployedStack
from tools.stack.findings import Finding, compared, or_well
from tools.verify.wanted import Wanted

LATEST = "$LATEST"
_OLD_CODE = "callers get code that differs from the build"


@dataclass(frozen=True)
class Function:
    """One of the stack's functions as Lambda has it; each part is requested once, when it is needed.

    Attributes:
        stack: the stack that it belongs to.
        applied: the function as Terraform applied it.
    """

    stack: DeployedStack
    applied: DeployedFunction

    @classmethod
    def all(cls, stack: DeployedStack) -> list[Self]:
        """Return the stack's functions, the first one first."""
        return [cls(stack, each) for each in (stack.function, stack.streaming) if each is not None]

    @property
    def of(self) -> str:
        """The end of the names of its checks: findings about the first function do not name it."""
        name = self.applied.function_name
        return "" if name == self.stack.function_name else f" of {name}"

    @cached_property
    def alias(self) -> dict[str, Any]:
        found: dict[str, Any] = self._lambda.get_alias(
            FunctionName=self.applied.function_name, Name=self.applied.function_alias
        )
        return found

    @cached_property
    def newest(self) -> str:
        """The number of the version that was published last."""
        pages = self._lambda.get_paginator("list_versions_by_function").paginate(
            FunctionName=self.applied.function_name
        )
        versions = [each["Version"] for page in pages for each in page["Versions"]]
        return max((version for version in versions if version != LATEST), key=int, default="none")

    @cached_property
    def latest(self) -> dict[str, Any]:
        return self._configuration(LATEST)

    @cached_property
    def served(self) -> dict[str, Any]:
        return self._configuration(self.applied.function_alias)

    @cached_property
    def policy(self) -> dict[str, Any]:
        """The policy that says who may call the alias; without statements if nobody may."""
        asked = {"FunctionName": self.applied.function_name, "Qualifier": self.applied.function_alias}
        try:
            found: dict[str, Any] = json.loads(self._lambda.get_policy(**asked)["Policy"])
        except self._lambda.exceptions.ResourceNotFoundException:
            return {"Statement": []}
        return found

    @property
    def move_alias(self) -> str:
        """The command that sends every request to the newest version, and updates SSM.

        It does so gradually and with verification, because the newest version may have been taken back before.
        """
        return "make release"

    @property
    def is_behind(self) -> bool:
        """True if the alias is at an older version than the newest."""
        return bool(self.alias["FunctionVersion"] != self.newest)

    @property
    def _lambda(self) -> Any:
        return self.stack.aws("lambda")

    def _configuration(self, qualifier: str) -> dict[str, Any]:
        found: dict[str, Any] = self._lambda.get_function_configuration(
            FunctionName=self.applied.function_name, Qualifier=qualifier
        )
        return found


def code(function: Function, wanted: Wanted) -> Iterator[Finding]:
    """Check the zip's sha256 on the alias's version and on ``$LATEST``, from which the next version is published."""
    upload = function.stack.command(
        "lambda update-function-code",
        function_name=function.applied.function_name,
        zip_file="fileb://terraform/deployment.zip",
        publish=True,
    )
    # Terraform compares with the zip that it applied last, not with what Lambda has by now.
    by_hand = wanted.code_sha256 == function.applied.code_sha256 != function.latest["CodeSha256"]
    again = f"make package && {upload} && make plan && make apply" if by_hand else DEPLOY
    yield compared(
        f"code of $LATEST{function.of}",
        function.latest["CodeSha256"],
        wanted.code_sha256,
        why="the next version would be published with code that differs from the build",
        fix=again,
    )
    behind = function.latest["CodeSha256"] == wanted.code_sha256 and function.is_behind
    yield compared(
        f"code of alias {function.applied.function_alias}{function.of}",
        function.served["CodeSha256"],
        wanted.code_sha256,
        why=_OLD_CODE,
        fix=function.move_alias if behind else again,
    )


def alias(function: Function) -> Iterator[Finding]:
    """Check that the alias sends every request to the newest version."""
    name = f"{function.applied.function_alias}{function.of}"
    yield compared(
        f"alias {name}",
        f"version {function.alias['FunctionVersion']}",
        f"version {function.newest}",
        why="callers get the older version: the newest waits for make release, or was taken back or rolled back",
        fix=function.move_alias,
    )
    weights = (function.alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights", {})
    yield compared(
        f"weights of alias {name}",
        ", ".join(f"version {version}: {share:.0%}" for version, share in sorted(weights.items())) or "none",
        "none",
        why="a gradual release did not finish: callers get different versions",
        fix=function.move_alias,
    )


def permission(function: Function) -> Iterator[Finding]:
    """Check that API Gateway may call the alias, for this API's stage only."""
    wanted = function.applied.api_source_arn
    sources = [
        str(statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn", "any"))
        for statement in function.policy["Statement"]
        if statement["Effect"] == "Allow"
        and statement["Principal"] == {"Service": "apigateway.amazonaws.com"}
        and statement["Action"] == "lambda:InvokeFunction"
    ]
    yield compared(
        f"who may call alias {function.applied.function_alias}{function.of} through API Gateway",
        ", ".join(sorted(sources)) or "nobody",
        wanted,
        why="without this permission every request gets 500; with a wider one other APIs may call the function, too",
        fix="make plan && make apply",
    )


def variables(function: Function, wanted: Wanted) -> Iterator[Finding]:
    """Check that the alias's version and ``$LATEST`` have the applied variables, and that Settings accepts them."""
    # What the streaming function has of its own is known from the last apply only.
    first = function.stack.function_variables
    own = {name: value for name, value in function.applied.function_variables.items() if first.get(name) != value}
    expected = {**wanted.variables, **own}
    latest = _variables(function.latest)
    yield from _same(f"$LATEST{function.of}", latest, expected, "make plan && make apply")
    publish = function.stack.command("lambda publish-version", function_name=function.applied.function_name)
    again = "make plan && make apply" if latest != expected else f"{publish} && make plan && make apply"
    place = f"alias {function.applied.function_alias}{function.of}"
    fix = function.move_alias if function.is_behind else again
    yield from _same(place, _variables(function.served), expected, fix)


def _variables(configuration: dict[str, Any]) -> dict[str, str]:
    return dict(configuration.get("Environment", {}).get("Variables", {}))


def _same(place: str, found: Mapping[str, str], wanted: Mapping[str, str], fix: str) -> Iterator[Finding]:
    names = sorted({*found, *wanted})
    differences = (
        compared(f"{name} of {place}", _shown(name, found, wanted), _value(name, wanted), why=_WHY, fix=fix)
        for name in names
        if found.get(name) != wanted.get(name)
    )
    yield from or_well(differences, f"variables of {place}", f"{len(found)} as applied")
    yield _usable(place, found, fix)


_WHY = "the function uses other settings than those that were applied: docs/settings.md describes each"


def _value(name: str, variables: Mapping[str, str]) -> str:
    return repr(variables[name]) if name in variables else "no such variable"


def _shown(name: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Return the value to show; one that was never applied may be a secret."""
    return "a variable that was not applied" if name in found and name not in wanted else _value(name, found)


def _usable(place: str, found: Mapping[str, str], fix: str) -> Finding:
    try:
        Settings.from_environ(found)
    except SettingsError as error:
        return Finding(
            f"settings of {place}",
            ok=False,
            found="; ".join(line.strip() for line in str(error).splitlines()[1:]),
            why="every request except GET /health gets 500 misconfigured",
            fix=fix,
        )
    return Finding(f"settings of {place}", ok=True, found="complete")
