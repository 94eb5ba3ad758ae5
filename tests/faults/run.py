"""Environments that callers use, what they wrote down, and a run of them against one site."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.environment import Plan
from tests.faults.history import History, Tail, read
from tests.faults.kit import ROOT, Crew, eventually

#: What a shared machine may take to get a second's work done.
PATIENCE_SECONDS = 120


class Environment:
    """A process that plays a Lambda execution environment (``tests.faults.environment``)."""

    def __init__(self, log: Path) -> None:
        command = [sys.executable, "-m", "tests.faults.environment"]
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self, plan: Plan) -> Tail:
        """Follow that plan; the history that it writes."""
        self._say(plan.to_line(), "ready")
        return Tail(Path(plan.history))

    def end(self) -> None:
        """Send no more, but ask some acknowledged keys again; returns when that is done."""
        self._say("stop\n", "done")

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _say(self, line: str, answer: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()
        said = self._process.stdout.readline().strip()
        assert said == answer, f"an environment said {said!r} where {answer!r} was wanted: see its log"


@dataclass
class Run:
    """Environments that follow their plans, and the history of all of them together."""

    environments: Sequence[Environment]
    history: History = field(default_factory=History)
    tails: list[Tail] = field(default_factory=list)

    def begin(self, plans: Iterable[Plan]) -> None:
        self.tails += [environment.begin(plan) for environment, plan in zip(self.environments, plans, strict=True)]

    def end(self) -> None:
        for environment in self.environments:
            environment.end()
        read(self.tails, self.history)

    def acknowledge(self, jobs: int) -> None:
        """Wait until that many are acknowledged in all."""

        def enough() -> bool:
            read(self.tails, self.history)
            return self.history.acknowledged >= jobs

        eventually(enough, PATIENCE_SECONDS, f"{jobs} jobs are acknowledged")

    def recover(self, healed: float) -> float:
        """Wait until the first job is acknowledged after that moment; seconds from there to it."""
        since = len(self.history.answers)

        def recovered() -> float | None:
            read(self.tails, self.history)
            return self.history.first_accepted_after(healed, since)

        eventually(recovered, PATIENCE_SECONDS, "a job is acknowledged after the fault")
        return (recovered() or healed) - healed


def deliveries(crew: Crew) -> list[Mapping[str, str]]:
    """What the workers were given, each time that a job was begun."""
    lines: list[Any] = [json.loads(line) for line in crew.log.read_text().splitlines()]
    return lines
