"""The page ``/metrics``: the worker's counts and the queue's figures, in the format that the scraper asks for."""

import gzip
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest, gzip_accepted
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from lambda_router_worker.operations.http_pages import Request, response
from lambda_router_worker.operations.queue_stats import Stats
from lambda_router_worker.processing.consumer import Consumer
from lambda_router_worker.prometheus.families import COMMON, Family
from lambda_router_worker.prometheus.job_counts import JobCounts, Spread
from lambda_router_worker.prometheus.queue_figures import QueueFigures
from lambda_router_worker.texts import whole_text

_TEXT = "text/plain; charset=utf-8"
_OPENMETRICS = "application/openmetrics-text"

type Row = tuple[tuple[str, ...], float | Spread]
"""Values of a metric's own labels, and its value."""
type Rows = Iterator[tuple[Family, Iterable[Row]]]


class Origin(NamedTuple):
    """Values of the labels that every metric has."""

    stack: str
    queue: str


class Worker(NamedTuple):
    """The worker whose metrics are exported. ``slots`` is its concurrency."""

    consumer: Consumer
    counts: JobCounts
    slots: int
    version: str


class Exposition:
    """Answers requests for ``/metrics``.

    Args:
        figures: the queue's figures. Without them, if Redis does not answer, the page has all other metrics.
        worker: None to export the queue alone.
    """

    def __init__(self, origin: Origin, figures: QueueFigures, worker: Worker | None = None) -> None:
        self._origin = origin
        self._figures = figures
        self._worker = worker
        self._process = _Process(registry=None)

    async def answer(self, request: Request) -> bytes:
        """Return the metrics to a GET, and 405 to anything else."""
        if request.method != "GET":
            return response("405 Method Not Allowed", _TEXT, b"", Allow="GET")
        stats = await self._figures.newest()
        return _encoded(_Scrape(list(self._families(stats))), request)

    def _families(self, stats: Stats | None) -> Iterator[Metric]:
        for rows in (_of_queue(stats), _of_worker(self._worker) if self._worker else ()):
            for family, values in rows:
                yield _family(family, self._origin, values)
        yield from self._process.collect()


class _Process(ProcessCollector):
    """Metrics of the process: memory, CPU time, open files."""

    def _boot_time(self) -> float:
        """Return when the machine booted, without ``/proc/stat``, which the systemd unit hides (``ProcSubset=pid``)."""
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


class _Scrape(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._collected = families

    def collect(self) -> Iterable[Metric]:
        return self._collected


def _encoded(scrape: _Scrape, request: Request) -> bytes:
    # Not the library's choose_encoder: it fails for a version that is no number, and repeats any other in its response.
    if _OPENMETRICS in {each.partition(";")[0].strip() for each in request.headers.get("accept", "").split(",")}:
        body: bytes = openmetrics.generate_latest(scrape)  # type: ignore[no-untyped-call]
        content_type = openmetrics.CONTENT_TYPE_LATEST
    else:
        body, content_type = generate_latest(scrape), CONTENT_TYPE_PLAIN_0_0_4
    headers = {"Vary": "Accept, Accept-Encoding"}
    if gzip_accepted(request.headers.get("accept-encoding", "")):
        body, headers = gzip.compress(body, compresslevel=1), headers | {"Content_Encoding": "gzip"}
    return response("200 OK", content_type, body, **headers)


def _of_queue(stats: Stats | None) -> Rows:
    yield Family.REDIS_UP, [((), int(stats is not None))]
    if stats is None:
        return
    priorities = stats.priorities.items()
    waiting = [((name, "waiting"), one.waiting) for name, one in priorities]
    running = [((name, "running"), one.running) for name, one in priorities]
    closed = len(stats.closed)
    yield Family.QUEUE_JOBS, [*waiting, *running]
    yield Family.QUEUE_OLDEST, [((name,), one.oldest_seconds or 0) for name, one in priorities]
    yield Family.QUEUE_SCHEDULED, [((), stats.scheduled)]
    yield Family.QUEUE_DEAD, [((), stats.dead)]
    yield Family.QUEUE_WORKERS, [(("claiming",), stats.workers - closed), (("closed",), closed)]
    yield Family.QUEUE_SLOTS, [((), stats.slots)]


def _of_worker(worker: Worker) -> Rows:
    counts, gate = worker.counts, worker.consumer.gate
    yield Family.JOBS, list(counts.jobs.items())
    yield Family.RETRIES, [((code,), count) for code, count in counts.retries.items()]
    yield Family.ATTEMPT, [((outcome,), spread) for outcome, spread in counts.attempts.items()]
    yield Family.WAIT, [((), counts.waits)]
    yield Family.TOKENS, [((kind,), count) for kind, count in counts.tokens.items()]
    yield Family.WORKER_JOBS, [((), worker.consumer.running)]
    yield Family.WORKER_SLOTS, [((), worker.slots)]
    if gate.has_server:
        yield Family.MODEL_SERVER_UP, [((), int(gate.is_open))]
    yield Family.INFO, [((worker.version, whole_text(gate.facts.get("model", ""))), 1)]


def _family(family: Family, origin: Origin, rows: Iterable[Row]) -> Metric:
    names = [*COMMON, *family.labels]
    histogram = HistogramMetricFamily(family.value, family.meaning, labels=names)
    counter = CounterMetricFamily(family.value, family.meaning, labels=names)
    gauge = GaugeMetricFamily(family.value, family.meaning, labels=names)
    for labels, value in rows:
        values = [*origin, *labels]
        if isinstance(value, Spread):
            histogram.add_metric(values, list(value.cumulative()), value.sum)
        else:
            (counter if family.kind == "counter" else gauge).add_metric(values, value)
    return {"histogram": histogram, "counter": counter, "gauge": gauge}[family.kind]
