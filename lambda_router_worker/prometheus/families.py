"""Every metric of `/metrics`: its name, type, labels, buckets and meaning. Pages and dashboards are compared with it.

Names follow https://prometheus.io/docs/practices/naming/: base units, and ``_total`` behind what only grows.
"""

from enum import StrEnum
from typing import Literal, Self

type Kind = Literal["counter", "gauge", "histogram"]

#: Labels of every metric. Two stacks, or two queues, may be scraped by one Prometheus.
COMMON = ("stack", "queue")

#: Buckets in seconds. An attempt takes five minutes by default; a job waits for up to a day.
ATTEMPT_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600)
WAIT_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 21_600, 86_400)


class Family(StrEnum):
    """Every metric, with type, labels beside COMMON, meaning, whether it is the queue's or the worker's, and buckets.

    Each worker exports those of the queue, so dashboards take their ``max``, and add up those of the workers.
    """

    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...]

    def __new__(
        cls, name: str, kind: Kind, labels: tuple[str, ...], meaning: str, buckets: tuple[float, ...] = ()
    ) -> Self:
        member = str.__new__(cls, name)
        member._value_, member.kind, member.labels, member.meaning, member.buckets = (
            name,
            kind,
            labels,
            meaning,
            buckets,
        )
        return member

    @property
    def is_of_queue(self) -> bool:
        """Whether each worker of the queue exports the same value."""
        return self.value.startswith("lambda_router_queue_")

    JOBS = (
        "lambda_router_jobs_total",
        "counter",
        ("outcome", "code"),
        "Jobs that this worker ended: completed, failed, dead (a dead letter) or cancelled; code is their error's.",
    )
    RETRIES = (
        "lambda_router_retries_total",
        "counter",
        ("code",),
        "Attempts that another one follows; code is the error's.",
    )
    ATTEMPT = (
        "lambda_router_attempt_duration_seconds",
        "histogram",
        ("outcome",),
        "Time of an attempt, until its outcome was written; outcome is that of the log line worked.",
        ATTEMPT_SECONDS,
    )
    WAIT = (
        "lambda_router_job_wait_seconds",
        "histogram",
        (),
        "Time from joining the line until an attempt starts.",
        WAIT_SECONDS,
    )
    TOKENS = (
        "lambda_router_tokens_total",
        "counter",
        ("type",),
        "Tokens that results name: input (the model has read them) or output (it has written them).",
    )
    WORKER_JOBS = "lambda_router_worker_jobs", "gauge", (), "Jobs that this worker has in progress."
    WORKER_SLOTS = "lambda_router_worker_slots", "gauge", (), "Jobs that this worker processes at a time."
    MODEL_SERVER_UP = (
        "lambda_router_model_server_up",
        "gauge",
        (),
        "1 while this worker claims jobs, 0 while its model server is in trouble. Without one there is no value.",
    )
    INFO = (
        "lambda_router_worker_info",
        "gauge",
        ("version", "model"),
        "Always 1; the labels are the worker's version and its model.",
    )
    REDIS_UP = (
        "lambda_router_redis_up",
        "gauge",
        (),
        "1 if the queue could be read for this scrape, else 0; then the queue's metrics are missing.",
    )
    QUEUE_JOBS = (
        "lambda_router_queue_jobs",
        "gauge",
        ("priority", "state"),
        "Jobs in the queue's lines; state is waiting or running.",
    )
    QUEUE_SCHEDULED = (
        "lambda_router_queue_scheduled_jobs",
        "gauge",
        (),
        "Jobs that are delayed or wait for another attempt.",
    )
    QUEUE_OLDEST = (
        "lambda_router_queue_oldest_waiting_seconds",
        "gauge",
        ("priority",),
        "How long the first waiting job has been in its line; 0 if none waits.",
    )
    QUEUE_WORKERS = (
        "lambda_router_queue_workers",
        "gauge",
        ("state",),
        "Workers that reported in the last 15 s; state is claiming, or closed (their model server is in trouble).",
    )
    QUEUE_SLOTS = (
        "lambda_router_queue_slots",
        "gauge",
        (),
        "Jobs that all claiming workers can process at a time.",
    )
    QUEUE_DEAD = "lambda_router_queue_dead_letters", "gauge", (), "Dead letters in the queue."
