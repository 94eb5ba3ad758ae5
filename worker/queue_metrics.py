"""The queue's figures for CloudWatch, as a line of its embedded metric format (EMF) on standard output.

Whatever brings the worker's output to CloudWatch Logs publishes them; the worker needs no right in AWS and no boto3.
"""

import sys

from aws_lambda_powertools.metrics import MetricUnit

from chalicelib.observability import Metric, emit_together
from worker.operations import Operations


async def publish(operations: Operations) -> None:
    """Write one line. Each worker of a queue writes the same figures, so look at their maximum, not at their sum.

    Raises one of REDIS_TROUBLE when Redis does not answer.
    """
    figures = await operations.stats()
    priorities = figures.priorities.values()
    values = {
        Metric.DEAD_LETTERS: (figures.dead, MetricUnit.Count),
        Metric.JOBS_WAITING: (sum(one.waiting for one in priorities), MetricUnit.Count),
        Metric.OLDEST_WAITING: (max(one.oldest_seconds or 0 for one in priorities), MetricUnit.Seconds),
        Metric.WORKERS_ALIVE: (figures.workers, MetricUnit.Count),
    }
    emit_together(values, queue=figures.queue)
    sys.stdout.flush()  # a pipe would keep it back until many more have come
