"""How much a service is used, as one says it, and the requests of a month that follow from it."""

import math
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from chalicelib.limits import MAX_WAIT_SECONDS
from tools.cost.measured import Figures, figures

#: Days of an average month.
DAYS = 365 / 12
#: How often the warm rule calls each function: ``warm_schedule`` of ``terraform/``, rate(5 minutes).
WARM_EVENTS_A_DAY = 288
#: Functions that the warm rule calls, one of which streams.
FUNCTIONS = 2

type Home = Literal["valkey", "elasticache", "hosted", "none"]
type Processor = Literal["x86_64", "arm64"]


class Usage(NamedTuple):
    """The use of one stack.

    Attributes:
        polls: of each job, or where jobs come in batches, of each batch: requests for its list.
        wait_seconds: how long requests with ``Prefer: wait`` are held for each job.
        stream_seconds: how long the stream takes in which each job is sent and answered; 0: jobs are sent otherwise.
        batch: jobs in a request.
        redis_ms: milliseconds of a round trip to Redis.
        machine_clients: app clients of Cognito that get tokens for machines.
        machine_tokens_a_day: tokens that each of them asks for.
    """

    jobs_per_day: float
    polls: float = 3
    wait_seconds: float = 0
    stream_seconds: float = 0
    batch: int = 1
    memory: int = 512
    architecture: Processor = "x86_64"
    redis: Home = "valkey"
    redis_ms: float = 1
    tracing: bool = False
    method_metrics: bool = False
    log_retention_days: int = 365
    machine_clients: int = 1
    machine_tokens_a_day: float = 24

    @property
    def jobs(self) -> float:
        """Jobs in a month."""
        return self.jobs_per_day * DAYS

    @property
    def active_share(self) -> float:
        """The share of all hours in which there is a job, if they are spread evenly."""
        return min(1.0, self.jobs_per_day / 24)


class Requests(NamedTuple):
    """The requests of one kind in a month.

    Attributes:
        kind: as in ``measured.toml``; a stream is measured as a response.
        number: in a month.
        ms: milliseconds of each that Lambda bills.
        through_gateway: whether API Gateway passes them on; the warm rule calls the functions itself.
    """

    kind: str
    number: float
    ms: float
    through_gateway: bool = True

    @property
    def figures(self) -> Figures:
        """What one of them writes."""
        return figures()[self.kind]


def requests_of(usage: Usage) -> list[Requests]:
    """Return the requests of a month, by kind."""
    found = [
        Requests(kind, count, figures()[kind].milliseconds(kind, usage.memory, usage.redis_ms) + held_ms)
        for kind, (count, held_ms) in _counts(usage)
    ]
    warm = WARM_EVENTS_A_DAY * DAYS * FUNCTIONS
    warm_ms = figures()["health"].milliseconds("health", usage.memory, usage.redis_ms)
    return [*found, Requests("health", warm, warm_ms, through_gateway=False)]


def _counts(usage: Usage) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield the kinds that there are, each with its number in a month and the milliseconds that it is held."""
    sendings = usage.jobs / usage.batch
    waits = math.ceil(usage.wait_seconds / MAX_WAIT_SECONDS)
    kinds: Mapping[str, tuple[float, float]] = {
        "response": (usage.jobs if usage.stream_seconds else 0, usage.stream_seconds * 1_000),
        "job": (sendings if usage.batch == 1 and not usage.stream_seconds else 0, 0),
        "batch": (sendings if usage.batch > 1 else 0, 0),
        "wait": (usage.jobs * waits, usage.wait_seconds * 1_000 / max(1, waits)),
        "poll": (usage.polls * usage.jobs if usage.batch == 1 else 0, 0),
        "list": (usage.polls * sendings if usage.batch > 1 else 0, 0),
    }
    yield from ((kind, found) for kind, found in kinds.items() if found[0])
