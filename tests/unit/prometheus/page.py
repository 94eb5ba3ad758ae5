"""The page ``/metrics`` of a worker that does not run, and its samples."""

import asyncio
import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from lambda_router_worker.operations.http_pages import Request
from lambda_router_worker.operations.queue_stats import PriorityStats, Stats
from lambda_router_worker.prometheus.exposition import Exposition, Origin, Worker
from lambda_router_worker.prometheus.job_counts import JobCounts

STATS = Stats(
    queue="tinyllama",
    priorities={
        "high": PriorityStats(1, 2, 0.5),
        "normal": PriorityStats(30, 3, 61.0),
        "low": PriorityStats(0, 0, None),
    },
    scheduled=4,
    dead=5,
    workers=3,
    slots=6,
    closed={"box-1": "status 401"},
    completed=7,
    failed=8,
    per_minute=None,
    service_seconds=None,
)


@dataclass
class Gate:
    has_server: bool = True
    is_open: bool = True
    facts: Mapping[str, str] = field(default_factory=lambda: {"model": "tinyllama-1.1b"})


@dataclass
class Consumer:
    running: int = 2
    gate: Gate = field(default_factory=Gate)


@dataclass
class Figures:
    stats: Stats | None = STATS

    async def newest(self) -> Stats | None:
        return self.stats


@dataclass
class Page:
    """A page and what it is made of; ``is_worker`` is false for that of the exporter."""

    counts: JobCounts = field(default_factory=JobCounts)
    consumer: Consumer = field(default_factory=Consumer)
    figures: Figures = field(default_factory=Figures)
    is_worker: bool = True

    def answered(self, method: str = "GET", **headers: str) -> tuple[str, dict[str, str], bytes]:
        """Status, headers and body; a gzipped body unpacked."""
        worker: Any = Worker(self.consumer, self.counts, 4, "1.2.3") if self.is_worker else None  # type: ignore[arg-type]
        exposition = Exposition(Origin("local", "tinyllama"), self.figures, worker)  # type: ignore[arg-type]
        request = Request(method, "/metrics", {name.replace("_", "-"): value for name, value in headers.items()})
        head, _, body = asyncio.run(exposition.answer(request)).partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        known = dict(line.split(": ") for line in lines)
        assert int(known["Content-Length"]) == len(body)
        return status, known, gzip.decompress(body) if known.get("Content-Encoding") == "gzip" else body

    def samples(self, **headers: str) -> dict[tuple[str, ...], float]:
        """Each sample's name and the labels that tell it apart from others of that name, and its value."""
        return samples_of(self.answered(**headers)[2].decode())

    def without_redis(self) -> "Page":
        return replace(self, figures=Figures(None))


def families_of(text: str) -> list[Any]:
    """Every metric of a page, in either format."""
    parse = openmetrics.text_string_to_metric_families if text.endswith("# EOF\n") else text_string_to_metric_families
    return list(parse(text))


def samples_of(text: str) -> dict[tuple[str, ...], float]:
    """The samples of a page, without the labels that all of them have."""
    found: dict[tuple[str, ...], float] = {}
    for family in families_of(text):
        for sample in family.samples:
            own = [value for name, value in sample.labels.items() if name not in {"stack", "queue"}]
            assert (sample.name, *own) not in found
            found[sample.name, *own] = sample.value
    return found
