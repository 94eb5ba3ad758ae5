"""The queue's figures for CloudWatch, as a line of its embedded metric format (EMF) on standard output.

Whatever brings the worker's output to CloudWatch Logs publishes them; the worker needs no right in AWS and no boto3.
"""

import sys

from aws_lambda_powertools.metrics.functions import is_metrics_disabled

from chalicelib import metrics
from chalicelib.metrics import Metric
from worker.operations import Operations


async def publish(operations: Operations, stack: str) -> None:
    """Write one line for that stack.

    Each worker of a queue writes the same figures, so look at their maximum, not at their sum.

    ``POWERTOOLS_METRICS_DISABLED=true`` stops it, as it stops Powertools' own metrics. Raises one of REDIS_TROUBLE when
    Redis does not answer.
    """
    if is_metrics_disabled():
        return
    figures = await operations.stats()
    priorities = figures.priorities.values()
    values = {
        Metric.DEAD_LETTERS: figures.dead,
        Metric.JOBS_WAITING: sum(one.waiting for one in priorities),
        Metric.OLDEST_WAITING: max(one.oldest_seconds or 0 for one in priorities),
        Metric.WORKERS_ALIVE: figures.workers,
    }
    metrics.write({(metric, figures.queue): value for metric, value in values.items()}, stack)
    sys.stdout.flush()  # a pipe would keep it back until many more have come
