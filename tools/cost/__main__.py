"""``python -m tools.cost``: what a month costs, for your own numbers (``docs/cost.md``)."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from tools.cost.bill import Bill, bill_of
from tools.cost.measured import machine
from tools.cost.prices import PRICES, PriceList, load, quantity_text, unit_text
from tools.cost.usage import Home, Processor, Usage

_MOST = 1e9


class Number(click.FloatRange):
    """A number within limits; unlike click's own, neither NaN nor infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number. Raises click.BadParameter."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return number


def _option(name: str, low: float, high: float, help_text: str, **more: Any) -> Callable[..., Any]:
    return click.option(name, type=Number(low, high), help=help_text, **more)


@click.command()
@_option("--jobs-per-day", 0.001, _MOST, "Jobs of all callers together.", required=True)
@_option("--polls", 0, 10_000, "Polls of a job, or of a batch.  [default: 3; 0 with waits or streams]")
@_option("--wait-seconds", 0, 86_400, "Seconds that requests with `Prefer: wait` are held for a job.", default=0.0)
@_option("--stream-seconds", 0, 890, "Seconds of the stream in which a job is sent and answered.", default=0.0)
@click.option("--batch", type=click.IntRange(1, 100), default=1, show_default=True, help="Jobs in a request.")
@click.option("--memory", type=click.IntRange(256, 10_240), default=512, show_default=True, help="MB: memory_size.")
@click.option("--architecture", type=click.Choice(get_args(Processor.__value__)), default="x86_64", show_default=True)
@click.option("--redis", type=click.Choice(get_args(Home.__value__)), default="valkey", show_default=True)
@_option("--redis-ms", 0, 1_000, "Milliseconds of a round trip to Redis.", default=1.0, show_default=True)
@click.option("--xray", is_flag=True, help="With `tracing = true`.")
@click.option("--method-metrics", is_flag=True, help="With `method_metrics = true`.")
@click.option(
    "--log-retention-days", type=click.IntRange(1, 3_653), default=365, show_default=True, help="As the variable."
)
@click.option(
    "--machine-clients", type=click.IntRange(0, 10_000), default=1, show_default=True,
    help="App clients of Cognito that get tokens for programs.",
)  # fmt: skip
@_option(
    "--machine-tokens-per-day", 0, _MOST, "Tokens that each of them asks for. 24: each is used for its hour.",
    default=24.0, show_default=True,
)  # fmt: skip
@click.option("--free-tier", is_flag=True, help="Take off what an account gets free in each month, for ever.")
@click.option(
    "--prices", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=PRICES,
    help="Another price list, such as one of your region.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One object for programs.")
def main(**options: Any) -> None:
    """Compute a month's bill from measured figures and the list prices in tools/cost/prices.toml."""
    as_json, prices, free_tier = options.pop("as_json"), load(options.pop("prices")), options.pop("free_tier")
    bill = bill_of(_usage(**options), prices, free_tier=free_tier)
    click.echo(_as_json(bill, prices) if as_json else _as_table(bill, prices))


def _usage(*, polls: float | None, xray: bool, machine_tokens_per_day: float, **options: Any) -> Usage:
    """Return the use that the options describe. Raises click.UsageError."""
    is_held = options["wait_seconds"] > 0 or options["stream_seconds"] > 0
    if options["stream_seconds"] and (options["batch"] > 1 or options["wait_seconds"]):
        other = "--batch" if options["batch"] > 1 else "--wait-seconds"
        raise click.UsageError(f"--stream-seconds cannot go with {other}: a stream sends one job, and has its answer.")
    default = 0.0 if is_held else 3.0
    return Usage(
        polls=default if polls is None else polls,
        tracing=xray,
        machine_tokens_a_day=machine_tokens_per_day,
        **options,
    )


def _as_table(bill: Bill, prices: PriceList) -> str:
    rows = [("", "quantity", "", "USD a month")]
    for line in bill.lines:
        price = prices[line.price]
        unit = unit_text(line.quantity, price.unit)
        rows.append((f"{price.what}: {line.what}", quantity_text(line.quantity), unit, f"{line.usd:,.2f}"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}} {c:<{widths[2]}}  {d:>{widths[3]}}".rstrip() for a, b, c, d in rows]
    grows = bill.total - bill.fixed
    return "\n".join([
        *lines,
        "",
        f"{bill.total:,.2f} USD a month: {grows:,.2f} by requests, {bill.fixed:,.2f} fixed.",
        f"{bill.per_million:,.2f} USD for a million jobs, beside what is fixed.",
        f"List prices of {prices.region} without tax; figures measured {machine()}: docs/cost.md",
    ])  # fmt: skip


def _as_json(bill: Bill, prices: PriceList) -> str:
    return json.dumps({
        "region": prices.region,
        "usage": bill.usage._asdict(),
        "lines": [line._asdict() | {"unit": prices[line.price].unit} for line in bill.lines],
        "total_usd": bill.total,
        "fixed_usd": bill.fixed,
        "usd_per_million_jobs": bill.per_million,
    })  # fmt: skip


if __name__ == "__main__":
    main()
