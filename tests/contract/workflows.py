"""GitHub's workflows as the contract tests read them."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.contract.repository import ROOT

FOLDER = ROOT / ".github/workflows"


@dataclass(frozen=True)
class Step:
    """One step of a job.

    Attributes:
        workflow: name of the file, without its ending.
        job: its name.
        step: what GitHub's YAML holds.
        env: variables of the job and of the step, expressions as they stand.
    """

    workflow: str
    job: str
    step: dict[str, Any]
    env: dict[str, str]

    @property
    def run(self) -> str:
        return str(self.step.get("run", ""))

    @property
    def uses(self) -> str:
        return str(self.step.get("uses", ""))


@cache
def workflows() -> dict[str, dict[str, Any]]:
    """Each workflow by the name of its file. YAML takes the key ``on`` for a truth."""
    return {path.stem: _read(path) for path in sorted(FOLDER.glob("*.yml"))}


def _read(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    return dict(yaml.safe_load(re.sub(r"^on:", '"on":', text, flags=re.MULTILINE)))


def jobs() -> dict[tuple[str, str], dict[str, Any]]:
    """Each job by workflow and name."""
    return {(name, job): about for name, workflow in workflows().items() for job, about in workflow["jobs"].items()}


def steps() -> list[Step]:
    """Every step of every job."""
    return [
        Step(name, job, step, about.get("env", {}) | step.get("env", {}))
        for (name, job), about in jobs().items()
        for step in about["steps"]
    ]
