"""A month's bill, line by line."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tools.cost.homes import ALARM_METRICS, DASHBOARDS, HOMES, METRICS_OF_A_METHOD, WORKERS_SERIES, Part
from tools.cost.measured import access_bytes, lambdas_bytes
from tools.cost.prices import PriceList
from tools.cost.usage import DAYS, Requests, Usage, requests_of

SECONDS_A_DAY = 86_400
#: X-Ray's default rule traces the first request of a second, and this part of the others:
#: https://docs.aws.amazon.com/xray/latest/devguide/xray-console-sampling.html
TRACED_PART = 0.05
#: CloudWatch keeps logs compressed; its price list counts with this ratio in its examples.
COMPRESSED = 0.15


class Line(NamedTuple):
    """One line of the bill.

    Attributes:
        price: name of its price.
        is_fixed: whether it stays the same for twice as many requests.
    """

    price: str
    what: str
    quantity: float
    usd: float
    is_fixed: bool


class Bill(NamedTuple):
    """A month's bill."""

    usage: Usage
    lines: tuple[Line, ...]

    @property
    def total(self) -> float:
        """USD in a month."""
        return sum(line.usd for line in self.lines)

    @property
    def fixed(self) -> float:
        """USD in a month that do not grow with the requests."""
        return sum(line.usd for line in self.lines if line.is_fixed)

    @property
    def per_million(self) -> float:
        """USD for a million jobs, beside what is fixed."""
        return (self.total - self.fixed) / self.usage.jobs * 1e6


def bill_of(usage: Usage, prices: PriceList, *, free_tier: bool = False) -> Bill:
    """Return the bill for that use."""
    requests = requests_of(usage)
    parts = [
        *((part, False) for part in _by_request([each for each in requests if each.through_gateway], usage)),
        *((part, True) for part in _by_request([each for each in requests if not each.through_gateway], usage)),
        *((part, True) for part in (*_metrics(requests, usage), *_fixed(usage))),
    ]
    left = {name: price.free if free_tier else 0.0 for name, price in prices.prices.items()}
    lines = []
    for part, is_fixed in parts:
        free = min(part.quantity, left[part.price])
        left[part.price] -= free
        usd = prices[part.price].of(part.quantity - free)
        lines.append(Line(part.price, part.what, part.quantity, usd, is_fixed))
    return Bill(usage, tuple(lines))


def _by_request(requests: Iterable[Requests], usage: Usage) -> Iterator[Part]:
    """Yield what is billed by the request, for these."""
    some = list(requests)
    if not some:
        return
    who = "requests" if some[0].through_gateway else "the warm rule"
    count = sum(each.number for each in some)
    gigabytes = sum(each.number * _bytes_of(each) for each in some) / 1e9
    if some[0].through_gateway:
        yield Part("gateway", count, who)
    yield Part("invocations", count, who)
    gb_seconds = sum(each.number * each.ms for each in some) / 1_000 * usage.memory / 1_024
    yield Part(f"lambda_{usage.architecture}", gb_seconds, who)
    yield Part("logs", gigabytes, who)
    yield Part("logs_kept", gigabytes * COMPRESSED * usage.log_retention_days / DAYS, who)
    if usage.tracing:
        yield Part("traces", traced(count), who)


def traced(requests: float) -> float:
    """Return how many of a month's requests X-Ray traces by its default rule, if they are spread evenly."""
    first = min(requests, SECONDS_A_DAY * DAYS)
    return first + (requests - first) * TRACED_PART


def _bytes_of(requests: Requests) -> int:
    gateways = access_bytes() if requests.through_gateway else 0
    return requests.figures.own_bytes + lambdas_bytes() + gateways


def _metrics(requests: Iterable[Requests], usage: Usage) -> Iterator[Part]:
    """Yield the metric series. CloudWatch bills each for the hours in which it gets a value."""
    lasting = {name for each in requests if not each.through_gateway for name in each.figures.series}
    by_job = {name for each in requests if each.through_gateway for name in each.figures.series} - lasting
    yield Part("metrics", len(by_job) * usage.active_share, "of requests")
    yield Part("metrics", len(lasting), "of the warm rule")
    yield Part("metrics", len(WORKERS_SERIES), "of workers")
    if usage.method_metrics:
        methods = len({each.kind for each in requests if each.through_gateway})
        yield Part("metrics", methods * METRICS_OF_A_METHOD * usage.active_share, "of each method")


def _fixed(usage: Usage) -> Iterator[Part]:
    yield Part("alarms", ALARM_METRICS, "of the stack")
    yield Part("dashboards", DASHBOARDS, "of the stack")
    yield Part("machine_clients", usage.machine_clients, "callers that are programs")
    yield Part("machine_tokens", usage.machine_clients * usage.machine_tokens_a_day * DAYS, "callers that are programs")
    yield from HOMES[usage.redis]
