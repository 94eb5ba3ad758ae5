"""tools.cost: what a month costs, from measured figures and a price list."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from click.testing import CliRunner

from lambda_router_queue.metrics import Metric
from tests.contract.repository import ROOT, page
from tools.cost.__main__ import main
from tools.cost.beside import rivals
from tools.cost.bill import Bill, bill_of, traced
from tools.cost.homes import HOMES, WORKERS_SERIES
from tools.cost.measured import ACCESS_LINE, access_bytes, figures, lambdas_bytes
from tools.cost.prices import PRICES, load, unit_text
from tools.cost.usage import DAYS, Home, Usage

MODULES = ROOT / "terraform/modules"


def a_million(**options: Any) -> Bill:
    """The bill of a million jobs in a month."""
    return bill_of(Usage(1e6 / DAYS)._replace(**options), load())


def cost_of(bill: Bill, price: str, what: str) -> float:
    return sum(line.usd for line in bill.lines if (line.price, line.what) == (price, what))


def test_a_request_costs_what_its_parts_cost() -> None:
    bill = a_million(polls=0)
    job = figures()["job"]
    logged = job.own_bytes + lambdas_bytes() + access_bytes()
    assert cost_of(bill, "gateway", "requests") == pytest.approx(3.50)
    assert cost_of(bill, "invocations", "requests") == pytest.approx(0.20)
    assert cost_of(bill, "logs", "requests") == pytest.approx(0.50 * logged / 1_000)
    ms = job.milliseconds("job", 512, 1)
    assert cost_of(bill, "lambda_x86_64", "requests") == pytest.approx(ms * 1_000 * 0.5 * 0.0000166667)


@pytest.mark.parametrize(("quantity", "unit"), [(1, "hour"), (0.001, "hours"), (1.004, "hour"), (2, "hours")])
def test_one_of_a_unit_is_in_the_singular(quantity: float, unit: str) -> None:
    assert unit_text(quantity, "hours") == unit


def test_each_poll_costs_as_much_as_the_last() -> None:
    costs = [a_million(polls=polls).per_million for polls in range(4)]
    steps = [more - less for less, more in pairwise(costs)]
    assert steps == pytest.approx([steps[0]] * 3)
    assert 0.8 < steps[0] / costs[0] < 1.1


def test_the_milliseconds_of_the_function_do_not_matter_but_held_seconds_do() -> None:
    at_once, held = a_million(polls=1), a_million(polls=0, wait_seconds=20)
    assert cost_of(at_once, "lambda_x86_64", "requests") < at_once.per_million / 100
    assert cost_of(held, "lambda_x86_64", "requests") > held.per_million * 0.9
    halved = a_million(polls=0, wait_seconds=20, memory=256)
    assert cost_of(halved, "lambda_x86_64", "requests") == pytest.approx(
        cost_of(held, "lambda_x86_64", "requests") / 2, rel=0.01
    )


def test_a_long_wait_is_several_requests() -> None:
    bill = a_million(polls=0, wait_seconds=50)
    assert cost_of(bill, "gateway", "requests") == pytest.approx(3.50 * (1 + 3))


def test_a_batch_costs_a_hundredth() -> None:
    single, batch = a_million(polls=3).per_million, a_million(polls=3, batch=100).per_million
    assert batch == pytest.approx(single / 100, rel=0.1)


@pytest.mark.parametrize("seconds", [1.0, 10.0])
def test_a_stream_is_one_request_that_is_held(seconds: float) -> None:
    bill = a_million(polls=0, stream_seconds=seconds)
    assert cost_of(bill, "gateway", "requests") == pytest.approx(3.50)
    assert cost_of(bill, "lambda_x86_64", "requests") == pytest.approx(seconds * 8.33, rel=0.01)


def test_traces_are_of_every_request_below_one_a_second_and_of_a_twentieth_above() -> None:
    seconds = 86_400 * DAYS
    assert traced(seconds / 2) == seconds / 2
    assert traced(seconds * 101) == pytest.approx(seconds * 6)


def test_traces_cost_nothing_unless_they_are_on() -> None:
    assert not [line for line in a_million().lines if line.price == "traces"]
    assert cost_of(a_million(polls=0, tracing=True), "traces", "requests") == pytest.approx(5.0)


def test_metrics_are_billed_for_the_hours_that_have_values() -> None:
    seldom, often = (bill_of(Usage(jobs), load()) for jobs in (6, 10_000))
    whole = cost_of(often, "metrics", "of requests")
    assert whole == pytest.approx(0.30 * 3)
    assert cost_of(seldom, "metrics", "of requests") == pytest.approx(whole / 4)


def test_method_metrics_are_five_for_each_method_that_is_called() -> None:
    assert cost_of(a_million(method_metrics=True), "metrics", "of each method") == pytest.approx(0.30 * 5 * 2)


def test_what_is_fixed_does_not_grow() -> None:
    assert a_million(polls=30).fixed == a_million(polls=1).fixed


def test_what_is_free_is_taken_off_once() -> None:
    usage, prices = Usage(1_000), load()
    paid, less = bill_of(usage, prices), bill_of(usage, prices, free_tier=True)
    for name, price in prices.prices.items():
        of_paid, of_less = (sum(line.usd for line in bill.lines if line.price == name) for bill in (paid, less))
        wanted = max(0.0, of_paid - price.free * price.usd / price.per)
        assert of_less == pytest.approx(wanted), name


def test_the_kinds_of_home_have_prices() -> None:
    assert set(HOMES) == set(get_args(Home.__value__))
    assert all(load()[part.price].of(part.quantity) > 0 for parts in HOMES.values() for part in parts)


def test_no_price_is_idle() -> None:
    bills = [
        a_million(redis=home, architecture=arch) for home, arch in zip(HOMES, ["arm64", *["x86_64"] * 3], strict=True)
    ]
    used = {line.price for bill in [*bills, a_million(tracing=True)] for line in bill.lines}
    beside = {"sqs", "dynamodb_writes", "dynamodb_reads", "tokens_in", "tokens_out", "bedrock_tokens"}
    assert used | beside == set(load().prices)
    assert all(each.per_million > 0 for each in rivals(Usage(1), load()))


# What the program assumes of the stack


def _default(variable: str, module: str = "") -> str:
    text = page(f"terraform/{module}variables.tf").partition(f'variable "{variable}"')[2]
    found = re.search(r"default\s+= \"?([^\"\n]*)", text)
    assert found, variable
    return found[1]


def test_the_defaults_are_those_of_terraform() -> None:
    usage = Usage(1)
    assert usage.memory == int(_default("memory_size"))
    assert usage.log_retention_days == int(_default("log_retention_days"))
    assert (usage.tracing, usage.method_metrics) == (
        _default("tracing") == "true",
        _default("method_metrics") == "true",
    )
    assert _default("warm_schedule") == "rate(5 minutes)"


@pytest.mark.parametrize(
    ("module", "variable", "price"),
    [("valkey", "instance_type", "instance"), ("elasticache", "node_type", "cache_node")],
)
def test_the_sizes_of_homes_are_those_of_their_modules(module: str, variable: str, price: str) -> None:
    if not (MODULES / module).is_dir():
        pytest.skip(f"there is no module {module} yet")
    assert load()[price].what.endswith(f" {_default(variable, f'modules/{module}/')}")


def test_the_access_line_has_the_members_that_terraform_asks_for() -> None:
    block = page("terraform/api.tf").partition("access_log = merge({")[2].partition("}, var.tracing")[0]
    assert sorted(re.findall(r"^\s+(\w+)\s+= \"\$", block, re.MULTILINE)) == sorted(ACCESS_LINE)


def test_workers_add_to_the_series_of_a_queue() -> None:
    assert len(WORKERS_SERIES) == sum(metric.dimension == "queue" for metric in Metric)


# The command


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, arguments)


def test_the_table_ends_with_the_sum() -> None:
    ran = run("--jobs-per-day", "1000", "--redis", "none")
    bill = bill_of(Usage(1_000, redis="none"), load())
    assert ran.exit_code == 0
    assert f"\n{bill.total:,.2f} USD a month" in ran.output


def test_json_has_each_line_and_the_sum() -> None:
    found = json.loads(run("--jobs-per-day", "1000", "--polls", "10", "--xray", "--json").stdout)
    assert found["total_usd"] == pytest.approx(sum(line["usd"] for line in found["lines"]))
    assert (found["usage"]["polls"], found["usage"]["tracing"], found["region"]) == (10, True, "us-east-1")


@pytest.mark.parametrize(
    ("options", "polls"), [([], 3), (["--wait-seconds", "5"], 0), (["--stream-seconds", "5"], 0), (["--polls", "7"], 7)]
)
def test_jobs_are_polled_three_times_unless_their_callers_wait(options: list[str], polls: float) -> None:
    assert json.loads(run("--jobs-per-day", "1", "--json", *options).stdout)["usage"]["polls"] == polls


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ([], ["--jobs-per-day"]),
        (["--jobs-per-day", "many"], ["--jobs-per-day", "many"]),
        (["--jobs-per-day", "nan"], ["--jobs-per-day", "nan", "1000000000"]),
        (["--jobs-per-day", "-1"], ["--jobs-per-day", "-1"]),
        (["--jobs-per-day", "1", "--batch", "101"], ["--batch", "101", "100"]),
        (["--jobs-per-day", "1", "--memory", "128"], ["--memory", "128", "256"]),
        (["--jobs-per-day", "1", "--redis", "sqlite"], ["--redis", "sqlite", "elasticache"]),
        (["--jobs-per-day", "1", "--stream-seconds", "5", "--batch", "2"], ["--stream-seconds", "--batch"]),
        (["--jobs-per-day", "1", "--stream-seconds", "5", "--wait-seconds", "2"], ["--wait-seconds"]),
        (["--jobs-per-day", "1", "--prices", "no-such-file"], ["--prices", "no-such-file"]),
    ],
)  # fmt: skip
def test_a_bad_value_is_named_with_what_is_allowed(options: list[str], named: list[str]) -> None:
    ran = run(*options)
    assert ran.exit_code == 2
    assert [word for word in named if word not in ran.output] == []


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("usd = 3.50", "usd = -3.50", "gateway.usd is -3.5"),
        ("usd = 3.50", "usd = ", "prices.toml"),
        ("usd = 3.50", 'price = "x"', "gateway"),
        ("[gateway]", "[gate]", "[gateway]"),
        ("per = 1_000_000", "per = 0", "per is 0"),
        ("free = 1_000_000", "free = inf", "invocations.free is inf"),
        ('region = "us-east-1"', "", "region is ''"),
        ('region = "us-east-1"', "region = 5", "region is 5"),
    ],
)
def test_a_bad_price_list_is_named_with_its_fault(old: str, new: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(PRICES.read_text().replace(old, new, 1))
    with pytest.raises(click.ClickException) as refused:
        load(path)
    assert str(path) in refused.value.message
    assert named in refused.value.message


@pytest.mark.timeout(20)
def test_a_file_without_end_is_no_price_list() -> None:
    ran = run("--jobs-per-day", "1", "--prices", "/dev/zero")

    assert ran.exit_code == 1
    assert "/dev/zero" in ran.output


def test_another_price_list_is_used(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(PRICES.read_text().replace("usd = 3.50", "usd = 35.0").replace("us-east-1", "eu-central-1", 1))
    ran = run("--jobs-per-day", "1000", "--prices", str(path), "--json")
    assert json.loads(ran.stdout)["region"] == "eu-central-1"
    assert json.loads(ran.stdout)["usd_per_million_jobs"] > 100
