"""packages/worker/compose.yaml as a box reads it."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from tests.contract.repository import ROOT

FILE = ROOT / "packages/worker/compose.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text())
WORKER: dict[str, Any] = DOCUMENT["services"]["worker"]


def variables(chosen: Mapping[str, str]) -> dict[str, str]:
    """The worker's variables where the file .env chooses those values."""
    return {name: _filled(str(text), chosen) for name, text in WORKER["environment"].items()}


def _filled(text: str, chosen: Mapping[str, str]) -> str:
    """Interpolate as compose does (https://docs.docker.com/reference/compose-file/interpolation/)."""

    def value(found: re.Match[str]) -> str:
        if found["name"] not in chosen and found["kind"] == ":?":
            raise KeyError(found["name"])
        return chosen.get(found["name"]) or found["rest"]

    return re.sub(r"\$\{(?P<name>\w+)(?P<kind>:[-?])(?P<rest>[^}]*)\}", value, text)
