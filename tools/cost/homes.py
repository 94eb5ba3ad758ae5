"""What Redis costs in a month, by where it lives, and what a stack has whether it is used or not."""

from collections.abc import Mapping
from typing import NamedTuple

from lambda_router_queue.metrics import Metric
from tools.cost.prices import HOURS
from tools.cost.usage import Home

#: Metrics that the stack's alarms watch: one in most, two and ten in those that add up (``terraform/alarms.tf``).
ALARM_METRICS = 20
DASHBOARDS = 1
#: What API Gateway counts for each method: Count, 4XXError, 5XXError, Latency, IntegrationLatency.
METRICS_OF_A_METHOD = 5
#: Series that a worker adds to while it runs, for one queue.
WORKERS_SERIES = tuple(f"{metric} queue=…" for metric in Metric if metric.dimension == "queue")


class Part(NamedTuple):
    """Something with a price by the month: its price's name, how much of it there is, and what for."""

    price: str
    quantity: float
    what: str


#: The sizes are the defaults of ``terraform/modules``.
HOMES: Mapping[Home, tuple[Part, ...]] = {
    "valkey": (
        Part("instance", HOURS, "the instance"),
        Part("ipv4", HOURS, "its address"),
        Part("disk", 16, "root volume of 8 GB, data volume of 8 GB"),
        Part("metrics", 3, "memory, disk, days of the certificate"),
        Part("alarms", 5, "on these and on the machine"),
    ),
    "elasticache": (
        Part("cache_node", 2 * HOURS, "two nodes, in two zones"),
        Part("endpoint", HOURS, "the endpoint for SSM"),
    ),
    "hosted": (Part("hosted", 1, "the smallest paid plan"),),
    "none": (),
}
