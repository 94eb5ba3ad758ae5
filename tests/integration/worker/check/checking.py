"""``lambda-router-worker check``, as a process or one check of it, and the options that it takes."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from lambda_router_worker.checking import threads
from lambda_router_worker.checking.box import STEP_SECONDS, Resolve, system_resolver
from lambda_router_worker.checking.checks import EVERY, Check, examine
from lambda_router_worker.checking.findings import Finding
from lambda_router_worker.cli import check as command
from lambda_router_worker.cli import main
from tests.integration.processes import clean_environment

DEMO = ("--handler", "lambda_router_worker.demo:answer")
OK, UNSEEN, WRONG = 0, 1, 3


@dataclass(frozen=True)
class Said:
    """What the process wrote, and its exit status."""

    status: int
    text: str

    @property
    def kinds(self) -> dict[str, str]:
        """The word before each thing."""
        lines = [line.partition(":")[0] for line in self.text.splitlines() if not line.startswith(" ")]
        return {thing.strip(): kind for kind, _, thing in (line.partition(" ") for line in lines)}

    def line(self, thing: str) -> str:
        return next(line for line in self.text.splitlines() if line.partition(":")[0].endswith(f" {thing}"))


def run_check(*words: str, folder: Path | None = None, **variables: str) -> Said:
    """The command as a process with those words and variables."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "lambda_router_worker", *words],
        cwd=folder,
        env=clean_environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=50,
    )
    return Said(ran.returncode, ran.stdout)


def in_this_process(*words: str, **variables: str) -> Said:
    """The same without a process of its own, which takes half a second to start."""
    ran = CliRunner().invoke(main, list(words), env=variables)
    return Said(ran.exit_code, ran.output)


def options(**given: Any) -> Mapping[str, Any]:
    """The worker's options with their defaults, and these."""
    defaults = command.make_context("check", []).params
    assert defaults.keys() >= given.keys()
    return defaults | given


def chain(thing: str) -> list[Check]:
    """The check of that name behind all that it needs."""
    (check,) = (each for each in EVERY if each.thing == thing)
    return [*(chain(check.after) if check.after else []), check]


def look(
    thing: str,
    *,
    seconds: float | None = None,
    step_seconds: float = STEP_SECONDS,
    resolve: Resolve = system_resolver,
    **given: Any,
) -> Finding:
    """The finding of one check, for a worker with these options. ``seconds`` replaces its time limit."""
    checks = chain(thing)
    if seconds is not None:
        checks[-1] = replace(checks[-1], seconds=seconds)

    return look_through(checks, resolve, step_seconds, **given)[-1]


def look_through(
    checks: Sequence[Check], resolve: Resolve = system_resolver, step_seconds: float = STEP_SECONDS, **given: Any
) -> list[Finding]:
    """The findings of these checks, in their order."""

    async def findings() -> list[Finding]:
        return [each async for each in examine(options(**given), checks, resolve, step_seconds)]

    return threads.run(findings())


def is_wrong(finding: Finding, *words: str) -> bool:
    """Whether something was seen to be wrong, with a fix, and the words are in what was found."""
    assert (finding.ok, finding.seen) == (False, True), finding
    assert finding.why, finding
    assert finding.fix, finding
    assert all(word in finding.found for word in words), finding
    return True
