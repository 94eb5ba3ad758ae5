"""Lines of CloudWatch's embedded metric format, read as CloudWatch reads them.

``emf_schema.json`` is the schema of the specification (``lambda_router_queue.metrics`` names its page), without its
``$id`` and ``examples``; what it says in words only is checked here.
"""

import json
from pathlib import Path
from typing import Any

from jsonschema_rs import validator_for

type Line = dict[str, Any]

_SCHEMA = validator_for(json.loads((Path(__file__).parent / "emf_schema.json").read_text()))


def metric_lines(written: str) -> list[Line]:
    """The metric lines among what was written, each well-formed."""
    lines = [json.loads(line) for line in written.splitlines() if line.startswith('{"_aws"')]
    for line in lines:
        assert_well_formed(line)
    return lines


def assert_well_formed(line: Line) -> None:
    """What is not, would be a metric that nobody ever sees: CloudWatch says nothing about lines that it cannot read."""
    _SCHEMA.validate(line)
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert 1 <= len(directive["Metrics"]) <= 100
        for name in {name for names in directive["Dimensions"] for name in names}:
            assert isinstance(line[name], str)
            assert 1 <= len(line[name]) <= 1_024
        for metric in directive["Metrics"]:
            assert type(line[metric["Name"]]) in {int, float}


def metrics_of(line: Line) -> dict[str, tuple[float, str, dict[str, str]]]:
    """Name → value, unit and dimensions, of each metric that CloudWatch makes of the line."""
    return {
        metric["Name"]: (line[metric["Name"]], metric["Unit"], {name: line[name] for name in names})
        for directive in line["_aws"]["CloudWatchMetrics"]
        for names in directive["Dimensions"]
        for metric in directive["Metrics"]
    }
