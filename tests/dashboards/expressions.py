"""Every expression in ``dashboards/``: those of Grafana's panels and variables, of KEDA's trigger and of the alerts."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from tests.contract.repository import ROOT

FOLDER = ROOT / "dashboards"
STACK, QUEUE = "local", "tinyllama"
#: Suffixes of a histogram's series.
_PARTS = re.compile(r"_(?:bucket|sum|count)$")


class Expression(NamedTuple):
    """An expression of PromQL. ``name`` says where it stands, such as ``Jobs waiting A``."""

    name: str
    text: str

    @property
    def metrics(self) -> set[str]:
        """Names of the project's metrics in it."""
        named = re.findall(r"\blambda_router_\w+", re.sub(r'"[^"]*"', '""', self.text))
        return {name if name.endswith("_total") else _PARTS.sub("", name) for name in named}

    def within(self, range_: str) -> str:
        """The expression as Grafana sends it, for our stack and queue."""
        return self.text.replace("$stack", STACK).replace("$queue", QUEUE).replace("$__rate_interval", range_)


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
    return document


def panels() -> list[dict[str, Any]]:
    """Every panel but the titles of rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def of_panels() -> list[Expression]:
    return [
        Expression(f"{panel['title']} {each['refId']}", each["expr"]) for panel in panels() for each in panel["targets"]
    ]


def of_variables() -> list[Expression]:
    """The selector in each of Grafana's ``label_values(selector, label)``."""
    queries = [each for each in dashboard()["templating"]["list"] if each["type"] == "query"]
    return [
        Expression(f"${each['name']}", each["definition"][len("label_values(") : -1].rpartition(",")[0])
        for each in queries
    ]


def keda() -> dict[str, Any]:
    """The ScaledObject."""
    (found,) = [each for each in _documents("keda.yaml") if each["kind"] == "ScaledObject"]
    return found


def of_keda() -> list[Expression]:
    texts = [trigger["metadata"]["query"] for trigger in keda()["spec"]["triggers"]]
    return [Expression("KEDA", text.replace("lambda-router-prod", STACK)) for text in texts]


def of_alerts() -> list[Expression]:
    (document,) = _documents("alerts.yaml")
    return [Expression(rule["alert"], rule["expr"]) for group in document["groups"] for rule in group["rules"]]


def _documents(name: str) -> Iterator[dict[str, Any]]:
    return yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))
