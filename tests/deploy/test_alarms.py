"""Whose numbers an alarm watches: the metric lines of two stacks in one account and region, and the alarms of one."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib import wiring
from lambda_router_queue.metrics import NAMESPACE
from lambda_router_worker.operations import queue_metrics
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.processing.gate import Gate
from lambda_router_worker.queue.connection import connect
from tests.conftest import MakeToken, Router
from tests.contract.repository import page, table_column
from tests.deploy.kit.life import NAME, Life
from tests.emf import metric_lines, metrics_of
from tools.cost.homes import ALARM_METRICS, DASHBOARDS

pytestmark = pytest.mark.timeout(600)

#: Namespace, name and dimensions: a metric of CloudWatch. Whoever names another set of dimensions sees another metric.
type Seen = tuple[str, str, frozenset[tuple[str, str]]]

#: What the alarm jobs-failed adds up.
WORKER_FAULTS = re.findall(r'"(\w+)"', page("terraform/alarms.tf").partition("worker_faults = [")[2].partition("]")[0])

GENERATE = {"type": "generate", "input": {"prompt": "hi"}}


def _resources(life: Life, kind: str) -> list[dict[str, Any]]:
    changes = life.plans["create"]["resource_changes"]
    return [each["change"]["after"] for each in changes if each["type"] == kind]


def _watched(life: Life) -> set[Seen]:
    """Every metric of our own that an alarm looks at."""
    alarms = _resources(life, "aws_cloudwatch_metric_alarm")
    queried = [part for alarm in alarms for query in alarm["metric_query"] or [] for part in query["metric"]]
    looked_at = [alarm for alarm in alarms if alarm["metric_name"]] + queried
    return {
        (each["namespace"], each["metric_name"], frozenset(each["dimensions"].items()))
        for each in looked_at
        if each["namespace"] == NAMESPACE
    }


@pytest.fixture
def written(
    environ: dict[str, str], make_token: MakeToken, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Any]:
    """What CloudWatch makes of the lines of one stack, its function and its worker."""

    def write(stack: str) -> set[Seen]:
        monkeypatch.setenv("ROUTER_STACK", stack)
        for limit in ({}, {"ROUTER_QUEUE_CAP": "1"}, {"REDIS_URL": "redis://127.0.0.1:1/0"}):
            services = wiring.build(environ | {"ROUTER_STACK": stack} | limit)
            with wiring.use(services):
                Router(make_token()).post("/v1/jobs", GENERATE)
            services.queue.close()
        asyncio.run(_figures(environ["REDIS_URL"], stack))
        return {
            (NAMESPACE, name, frozenset(dimensions.items()))
            for line in metric_lines(capsys.readouterr().out)
            for name, (_, _, dimensions) in metrics_of(line).items()
        }

    return write


class _NeverAsked:
    """A model server that is in trouble or not, as the gate has it."""

    name = "http://127.0.0.1:8080/v1"
    model = "m"

    async def probe(self, *, thorough: bool) -> None:
        raise AssertionError


async def _figures(url: str, stack: str) -> None:
    redis = connect(url)
    try:
        gate = Gate(_NeverAsked())
        await queue_metrics.publish(Operations(redis, "tinyllama"), stack, gate, Counter(WORKER_FAULTS))
    finally:
        await redis.aclose()


def test_alarms_see_the_metrics_of_their_own_stack_and_of_no_other(life: Life, written: Any) -> None:
    watched = _watched(life)

    assert len(watched) == 5 + len(WORKER_FAULTS)
    assert watched <= written(NAME)
    assert watched & written("lambda-router-staging") == set()


def test_an_alarm_adds_up_failures_by_codes_that_there_are() -> None:
    assert set(WORKER_FAULTS) <= set(table_column(page("docs/contract.md"), "## The job"))


def test_the_functions_are_told_the_name_that_the_alarms_watch(life: Life) -> None:
    functions = _resources(life, "aws_lambda_function")

    assert [each["environment"][0]["variables"]["ROUTER_STACK"] for each in functions] == [NAME, NAME]
    assert {dict(dimensions)["stack"] for _, _, dimensions in _watched(life)} == {NAME}


def test_every_metric_of_the_dashboard_names_the_stack(life: Life) -> None:
    (dashboard,) = _resources(life, "aws_cloudwatch_dashboard")
    own = [line for line in dashboard["dashboard_body"].split("[") if f'"{NAMESPACE}"' in line or "SEARCH" in line]

    assert len(own) >= 5
    assert [line for line in own if NAME not in line] == []


def test_the_bill_counts_each_metric_that_an_alarm_watches(life: Life) -> None:
    alarms = _resources(life, "aws_cloudwatch_metric_alarm")
    queries = [query for alarm in alarms for query in alarm["metric_query"] or []]
    watched = sum(bool(alarm["metric_name"]) for alarm in alarms) + sum(bool(query["metric"]) for query in queries)

    assert (watched, len(_resources(life, "aws_cloudwatch_dashboard"))) == (ALARM_METRICS, DASHBOARDS)
