"""One side of ``bench_against``: run one checkout's code on request, and report the time.

Usage: ``one_side.py CHECKOUT REDIS_URL``. Each line of standard input, such as ``["submit", 100]``, calls one of the
functions below; the reply is a line of JSON.
"""

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

checkout, redis_url = sys.argv[1:]
os.chdir(checkout)
sys.path[0] = checkout
answers, sys.stdout = sys.stdout, Path(os.devnull).open("w")  # noqa: SIM115 (open until the process ends)

from benchmarks import functions  # noqa: E402 (found on the path set above)

os.environ |= functions.environ(redis_url) | {"PATH": os.environ["PATH"]}

import app  # noqa: E402 (reads the environment)
from lambda_router_worker.processing.consumer import Consumer  # noqa: E402
from lambda_router_worker.processing.job_run import JobRun  # noqa: E402
from lambda_router_worker.queue import connection  # noqa: E402
from lambda_router_worker.queue.work_queue import WorkQueue  # noqa: E402
from tests.faults.kit import QUEUE, Callers, new_job  # noqa: E402

CONCURRENCY = 10
_tokens = [functions.token(f"caller-{number}") for number in range(20)]
_sent: list[tuple[str, str]] = []


class _Context:
    function_name, function_version, memory_limit_in_mb = "benchmark", "7", 512
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:benchmark:live"
    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 29_000


def submit(count: int) -> float:
    """Return the median seconds of a submission through the whole function."""
    _sent.clear()
    return median(_submitted(_tokens[number % len(_tokens)]) for number in range(count))


def poll(count: int) -> float:
    """Return the median seconds of a status poll through the whole function."""
    return median(_answered(functions.poll(*_sent[number % len(_sent)]), 200)[0] for number in range(count))


def work(count: int) -> float:
    """Return the seconds per job that a worker with a no-op handler takes for the waiting jobs."""
    return asyncio.run(_work(count)) / count


def fill(count: int) -> float:
    """Return the seconds that it takes to submit ``count`` jobs, in batches of a hundred, each from another caller."""
    callers, began = Callers(redis_url), time.perf_counter()
    for number in range(count // 100):
        callers.submit([new_job(ttl_seconds=86_000) for _ in range(100)], f"caller-{number}")
    callers.close()
    return time.perf_counter() - began


def _submitted(token: str) -> float:
    took, answer = _answered(functions.post(token), 202)
    _sent.append((token, json.loads(answer["body"])["id"]))
    return took


def _answered(event: dict[str, Any], status: int) -> tuple[float, dict[str, Any]]:
    began = time.perf_counter()
    answer = app.app(event, _Context())
    took = time.perf_counter() - began
    if answer["statusCode"] != status:
        raise RuntimeError(f"{answer['statusCode']} instead of {status}: {answer['body']}")
    return took, answer


async def _work(count: int) -> float:
    done = 0

    async def nothing(_: object) -> str:
        nonlocal done
        done += 1
        return "done"

    client, stop = connection.connect(redis_url), asyncio.Event()
    queue = WorkQueue(client, QUEUE.queue, "benchmark")
    began = time.perf_counter()
    worker = asyncio.create_task(Consumer(queue, JobRun(queue, nothing), CONCURRENCY).run(stop))
    while done < count:
        await asyncio.sleep(0.002)
    took = time.perf_counter() - began
    stop.set()
    await worker
    await client.aclose()
    return took


def main() -> None:
    logging.disable(logging.WARNING)
    for line in sys.stdin:
        name, count = json.loads(line)
        took = {"submit": submit, "poll": poll, "work": work, "fill": fill}[name](count)
        answers.write(json.dumps(took) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
