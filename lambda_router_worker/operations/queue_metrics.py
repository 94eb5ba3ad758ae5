"""The queue's figures for CloudWatch, as a line of its embedded metric format (EMF) on standard output.

Whatever sends the worker's output to CloudWatch Logs publishes them. The worker needs no AWS permission and no boto3.
"""

import sys
from collections import Counter

from aws_lambda_powertools.metrics.functions import is_metrics_disabled

from lambda_router_queue import metrics
from lambda_router_queue.metrics import Metric
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.processing.gate import Gate
from lambda_router_worker.worker_log import is_text


async def publish(operations: Operations, stack: str, gate: Gate, failed: Counter[str]) -> None:
    """Write the figures of that stack's queue and of this worker.

    Each worker of a queue writes the same figures of the queue, so use their maximum, not their sum.
    ``POWERTOOLS_METRICS_DISABLED=true`` turns this off, as it does Powertools' own metrics; so does a log as text.

    Args:
        failed: number of failed jobs by code. It is cleared once they are written.

    Raises one of REDIS_TROUBLE when Redis does not reply.
    """
    if is_metrics_disabled() or is_text():  # no program reads text, and JSON is in people's way
        return
    figures = await operations.stats()
    priorities = figures.priorities.values()
    queue = figures.queue
    values: dict[tuple[Metric, str], float] = {
        (Metric.DEAD_LETTERS, queue): figures.dead,
        (Metric.JOBS_WAITING, queue): sum(one.waiting for one in priorities),
        (Metric.OLDEST_WAITING, queue): max(one.oldest_seconds or 0 for one in priorities),
        (Metric.WORKERS_ALIVE, queue): figures.workers,
    }
    if gate.has_server:
        values[Metric.MODEL_SERVER_UP, queue] = int(gate.is_open)
    values |= {(Metric.JOBS_FAILED, code): count for code, count in failed.items()}
    failed.clear()
    metrics.write(values, stack)
    sys.stdout.flush()  # a pipe would hold the line back until many more have come
