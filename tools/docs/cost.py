"""The tables of ``docs/cost.md``. Every number comes from ``tools/cost``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from chalicelib.errors import Problem
from lambda_router_queue.metrics import Metric
from tools.cost import beside as rivals
from tools.cost.bill import Bill, bill_of
from tools.cost.homes import HOMES, METRICS_OF_A_METHOD, WORKERS_SERIES
from tools.cost.measured import access_bytes, figures, lambdas_bytes, machine
from tools.cost.prices import PriceList, load, quantity_text, unit_text
from tools.cost.usage import DAYS, Home, Requests, Usage, requests_of
from tools.docs.markdown import code, table

A_MILLION = 1e6
#: How callers get their results: for the tables, with the options that say so.
WAYS: Mapping[str, dict[str, float]] = {
    "1 poll": {"polls": 1},
    "3 polls, as `Retry-After` says": {"polls": 3},
    "10 polls": {"polls": 10},
    "30 polls": {"polls": 30},
    "held for 5 s by `Prefer: wait`": {"polls": 0, "wait_seconds": 5},
    "held for 20 s by `Prefer: wait`": {"polls": 0, "wait_seconds": 20},
    "a stream of 10 s": {"polls": 0, "stream_seconds": 10},
    "batches of 100, 3 polls of the list each": {"polls": 3, "batch": 100},
}
#: What each kind of request is called.
KINDS: Mapping[str, str] = {
    "job": "`POST /v1/jobs`",
    "batch": "`POST /v1/jobs/batch`, 100 jobs",
    "poll": "`GET /v1/jobs/{job_id}`",
    "wait": "the same, held for 1 s by `Prefer: wait`",
    "list": "`GET /v1/jobs`, 100 jobs",
    "response": "`POST /v1/responses`",
    "health": "`GET /health` of the warm rule",
}
JOBS_PER_DAY = (10, 1_000, 100_000)
#: Amounts below this are left out.
SMALLEST = 0.005


def usd(value: float) -> str:
    """Return an amount with the digits that matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def a_million_jobs() -> str:
    """Return what a million jobs cost beside what is fixed, by how their callers get the results."""
    rows = []
    for way, options in WAYS.items():
        bills = [_bill(A_MILLION / DAYS, **options, memory=memory) for memory in (256, 512)]
        traced = _bill(A_MILLION / DAYS, **options, tracing=True)
        shares = _share_of_polls(bills[1])
        rows.append((way, *(usd(bill.per_million) for bill in bills), usd(traced.per_million), f"{shares:.0%}"))
    head = ("Each job and", "256 MB", "512 MB", "512 MB, `tracing = true`", "polls, waits and streams, of 512 MB")
    return table(head, rows)


def _share_of_polls(bill: Bill) -> float:
    """Return the part of what grows with the jobs that is not for sending them."""
    prices = load()
    sending = bill_of(bill.usage._replace(polls=0, wait_seconds=0, stream_seconds=0), prices)
    return 1 - sending.per_million / bill.per_million


def months() -> str:
    """Return a month by jobs a day and polls, with Valkey on an instance, and what is fixed of it."""
    rows = []
    for jobs in JOBS_PER_DAY:
        bills = [_bill(jobs, polls=polls) for polls in (1, 3, 10)]
        free = bill_of(bills[1].usage, load(), free_tier=True)
        grows = (usd(bill.total - bill.fixed) for bill in bills)
        rows.append((f"{jobs:,}", *grows, usd(bills[1].fixed), usd(bills[1].total), usd(free.total)))
    polls = ("1 poll", "3 polls", "10 polls")
    head = ("Jobs a day", *polls, "fixed", "in all, 3 polls", "the same, less what is free for ever")
    return table(head, rows)


def a_million_requests() -> str:
    """Return what a million polls cost, by what is paid for."""
    usage, prices = Usage(A_MILLION / DAYS, redis="none", machine_clients=0), load()
    more, less = (bill_of(usage._replace(polls=polls), prices).lines for polls in (2, 1))
    rows = [
        (prices[line.price].what, usd(line.usd - before.usd))
        for line, before in zip(more, less, strict=True)
        if not line.is_fixed
    ]
    rows.append(("X-Ray, `tracing = true`, each traced", usd(prices["traces"].of(A_MILLION))))
    rows.append(
        ("a second more for each, as when it is held", usd(prices["lambda_x86_64"].of(A_MILLION * 512 / 1_024)))
    )
    rows.append(
        ("a token of its own for each, of a client that is a program", usd(prices["machine_tokens"].of(A_MILLION)))
    )
    return table(("A million polls at 512 MB", "USD"), rows)


def log_bytes() -> str:
    """Return what each kind of request writes and takes."""
    rows = []
    for kind, what in KINDS.items():
        own, is_warm = figures()[kind], kind == "health"
        gateway = 0 if is_warm else access_bytes()
        total = own.own_bytes + lambdas_bytes() + gateway
        ms = Requests(kind, 1, own.milliseconds(kind, 512, 1)).ms if kind != "wait" else 1_000
        row = (own.log_bytes, own.metric_bytes, lambdas_bytes(), gateway, total, own.cpu_us, ms)
        rows.append((what, *(f"{number:,.0f}" for number in row)))
    head = (
        "Request",
        "log line",
        "metrics",
        "Lambda's lines",
        "access log",
        "in all",
        "CPU, µs",
        "billed at 512 MB, ms",
    )
    return f"{table(head, rows)}\n\nMeasured {machine()}."


def fixed() -> str:
    """Return what a stack has, whether it is used or not."""
    bill, prices = _bill(24, redis="none"), load()
    rows = []
    for line in bill.lines:
        price = prices[line.price]
        if line.is_fixed and line.usd >= SMALLEST:
            free = _counted(price.free, price.unit) if price.free else ""
            rows.append((f"{price.what}: {line.what}", _counted(line.quantity, price.unit), usd(line.usd), free))
    rows.append(("in all", "", usd(bill.fixed), ""))
    return table(("What", "Quantity", "USD a month", "An account has free"), rows)


def homes() -> str:
    """Return what each home of Redis costs in a month."""
    prices = load()
    rows = []
    for home in get_args(Home.__value__):
        parts = [(part, prices[part.price].of(part.quantity)) for part in HOMES[home]]
        listed = "; ".join(f"{prices[part.price].what}, {part.what}: {usd(cost)}" for part, cost in parts)
        if parts:
            rows.append((code(home), listed, usd(sum(cost for _, cost in parts))))
    return table(("`--redis`", "What it is made of", "USD a month"), rows)


def series() -> str:
    """Return how many metric series there are."""
    return table(("Metrics", "Usual", "At most"), list(_series()))


def _series() -> Iterator[Sequence[str]]:
    usual = {name for each in requests_of(Usage(A_MILLION)) for name in each.figures.series}
    yield ("`Latency` and `JobsAccepted` of jobs that are sent and polled, and of the warm rule", str(len(usual)), "")
    kinds = {name for each in figures().values() for name in each.series}
    yield (
        "the same with batches, lists and the OpenAI API",
        "",
        f"{len(kinds)}, and one for each other route and type",
    )
    yield (
        f"{', '.join(code(name.split()[0]) for name in WORKERS_SERIES)}, for each queue",
        *2 * (str(len(WORKERS_SERIES)),),
    )
    refused = f"one for each problem that occurs, of {len(list(Problem.kinds()))}"
    yield (
        f"{code(Metric.REQUESTS_REFUSED)}, {code(Metric.WAITS_REFUSED)}, {code(Metric.JOBS_REPLAYED)}",
        "0",
        f"{refused}; 2; 1",
    )
    yield (code(Metric.JOBS_FAILED), "0", "one for each `error.code` that occurs")
    methods = sum(each.through_gateway for each in requests_of(Usage(A_MILLION)))
    yield (
        "API Gateway's with `method_metrics = true`",
        "0",
        f"{METRICS_OF_A_METHOD} for each method that is called, {methods} of which are usual",
    )


def beside() -> str:
    """Return other ways to do the work."""
    prices, usage = load(), Usage(A_MILLION / DAYS)
    ours = _bill(usage.jobs_per_day, redis="none", machine_clients=0)
    redis = bill_of(usage, prices).fixed - bill_of(usage._replace(redis="none"), prices).fixed
    rows = [
        ("this service, 3 polls", "", usd(ours.per_million), usd(ours.fixed)),
        ("Valkey on an instance", "a part of this service", "0.00", usd(redis)),
        *(
            (each.name, each.instead_of, usd(each.per_million), usd(each.fixed))
            for each in rivals.rivals(usage, prices)
        ),
    ]
    return table(("What", "Instead of", "USD for a million jobs", "USD a month"), rows)


def price_list() -> str:
    """Return every price."""
    prices = load()
    rows = [
        (
            price.what,
            f"{price.usd:.10f}".rstrip("0").rstrip("."),
            _counted(price.per, price.unit),
            f"[{price.read}]({price.source})",
        )
        for price in prices.prices.values()
    ]
    return table((f"In {prices.region}", "USD", "for", "Read"), rows)


def _counted(quantity: float, unit: str) -> str:
    return f"{quantity_text(quantity)} {unit_text(quantity, unit)}"


def _bill(jobs_per_day: float, **options: Any) -> Bill:
    prices: PriceList = load()
    return bill_of(Usage(jobs_per_day)._replace(**options), prices)
