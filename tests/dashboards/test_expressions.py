"""What ``dashboards/`` asks Prometheus for is what workers export: no metric unknown, none forgotten."""

import re
from collections import Counter

import pytest

from lambda_router_worker.prometheus.families import Family
from tests.dashboards import expressions
from tests.dashboards.expressions import Expression, keda, panels

PANELS = expressions.of_panels()
EVERY = [*PANELS, *expressions.of_variables(), *expressions.of_keda(), *expressions.of_alerts()]
each_expression = pytest.mark.parametrize("expression", EVERY, ids=[expression.name for expression in EVERY])

#: The matchers of a selector, such as ``state="waiting"``.
MATCHER = re.compile(r'(\w+) *(?:=~|!~|!=|=) *"')
#: Panels' units, as Grafana names them, by what the titles promise.
UNITS = {"s", "short", "bytes", "opm"}


@each_expression
def test_an_expression_names_only_metrics_and_labels_that_there_are(expression: Expression) -> None:
    known = {family.value: family for family in Family}
    assert expression.metrics <= set(known)

    for name, matchers in re.findall(r"(lambda_router_\w+?)(?:_bucket|_sum|_count)?\{([^}]*)\}", expression.text):
        assert {*MATCHER.findall(matchers)} <= {"stack", "queue", *known[name].labels}


def test_the_dashboard_uses_each_metric() -> None:
    assert set().union(*(expression.metrics for expression in PANELS)) == set(Family)


@each_expression
def test_a_figure_of_the_queue_is_taken_once_however_many_workers_export_it(expression: Expression) -> None:
    """A sum would count each job once for each worker."""
    outside = re.sub(r"max(?: by \([^)]*\))? \(?\(?lambda_router_queue_\w+", "", expression.text)
    outside = re.sub(r"max\(lambda_router_queue_\w+", "", outside)

    assert "lambda_router_queue_" not in outside


@pytest.mark.parametrize("expression", PANELS, ids=[expression.name for expression in PANELS])
def test_a_panel_shows_one_queue_of_one_stack(expression: Expression) -> None:
    selectors = re.findall(r"lambda_router_\w+\{([^}]*)\}", expression.text)

    assert len(selectors) == len(re.findall(r"\blambda_router_\w+", expression.text)) > 0
    assert all({'stack="$stack"', 'queue="$queue"'} <= {*re.split(r", *", each)} for each in selectors)


def test_the_dashboard_can_be_imported() -> None:
    """Grafana asks for the data source of ``__inputs``; ids and places must not clash."""
    document = expressions.dashboard()
    ids = Counter(panel["id"] for panel in document["panels"])
    cells = Counter(
        (x, y)
        for panel in document["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    )
    source = document["templating"]["list"][0]

    assert (document["id"], document["uid"]) == (None, "lambda-router")
    assert [each["name"] for each in document["__inputs"]] == ["DS_PROMETHEUS"]
    assert (source["type"], source["query"], source["current"]["value"]) == (
        "datasource",
        "prometheus",
        "${DS_PROMETHEUS}",
    )
    assert {panel["type"] for panel in panels()} == {
        each["id"] for each in document["__requires"] if each["type"] == "panel"
    }
    assert set(ids.values()) == set(cells.values()) == {1}
    assert max(x for x, _ in cells) == 23
    for panel in panels():
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert {each["datasource"]["uid"] for each in [panel, *panel["targets"]]} == {"${datasource}"}


def test_keda_stops_no_busy_worker_and_trusts_no_silence() -> None:
    """The members are those of KEDA's ScaledObject and of its trigger `prometheus`
    (https://keda.sh/docs/latest/reference/scaledobject-spec/, https://keda.sh/docs/latest/scalers/prometheus/).
    """
    spec = keda()["spec"]
    (trigger,) = spec["triggers"]
    (query,) = expressions.of_keda()

    counts = {"minReplicaCount", "maxReplicaCount"}
    assert set(spec) == {"scaleTargetRef", *counts, "pollingInterval", "cooldownPeriod", "fallback", "triggers"}
    assert (trigger["type"], trigger["metricType"]) == ("prometheus", "AverageValue")  # fallback wants an average
    assert set(trigger["metadata"]) == {"serverAddress", "query", "threshold", "ignoreNullValues"}
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    assert "state=" not in query.text  # jobs of either state
    assert query.metrics == {"lambda_router_queue_jobs", "lambda_router_queue_scheduled_jobs"}
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    assert spec["fallback"]["replicas"] >= 1
