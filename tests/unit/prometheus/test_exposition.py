"""lambda_router_worker.prometheus.exposition: what Prometheus reads from `/metrics`."""

from pathlib import Path

import pytest

from lambda_router_worker.processing.results import NO_TOKENS
from lambda_router_worker.prometheus.exposition import _Process
from lambda_router_worker.prometheus.families import COMMON, Family
from tests.unit.prometheus.page import Consumer, Gate, Page, families_of

#: What the server's own of Prometheus and other scrapers accept.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;"
    "q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


def busy() -> Page:
    """A worker with something in every metric."""
    page = Page()
    page.counts.started(0.02)
    page.counts.ended("failed", "context_too_long")
    page.counts.ended("scheduled", "backend_busy")
    page.counts.attempted("failed", 3.0, NO_TOKENS)
    return page


@pytest.mark.parametrize("accept", ["", PROMETHEUS], ids=["text", "OpenMetrics"])
def test_the_page_has_every_metric_with_its_type_and_labels_and_no_other(accept: str) -> None:
    families = families_of(busy().answered(accept=accept)[2].decode())
    found = {family.name: family for family in families if not family.name.startswith("process_")}

    assert set(found) == {family.removesuffix("_total") for family in Family}
    for declared in Family:
        family = found[declared.removesuffix("_total")]
        assert (family.type, family.documentation) == (declared.kind, declared.meaning)
        labels = {name for sample in family.samples for name in sample.labels} - {"le"}
        assert labels == {*COMMON, *declared.labels}
        assert all({"stack": "local", "queue": "tinyllama"}.items() <= each.labels.items() for each in family.samples)


def test_the_queues_figures_are_those_of_stats() -> None:
    samples = Page().samples()

    assert samples["lambda_router_redis_up",] == 1
    assert samples["lambda_router_queue_jobs", "normal", "waiting"] == 30
    assert samples["lambda_router_queue_jobs", "normal", "running"] == 3
    assert samples["lambda_router_queue_oldest_waiting_seconds", "normal"] == 61
    assert samples["lambda_router_queue_oldest_waiting_seconds", "low"] == 0
    assert samples["lambda_router_queue_scheduled_jobs",] == 4
    assert samples["lambda_router_queue_dead_letters",] == 5
    assert samples["lambda_router_queue_workers", "claiming"] == 2
    assert samples["lambda_router_queue_workers", "closed"] == 1
    assert samples["lambda_router_queue_slots",] == 6


def test_without_redis_the_workers_own_metrics_come_and_no_old_figure() -> None:
    page = busy()
    with_redis, without = page.samples(), page.without_redis().samples()

    assert without["lambda_router_redis_up",] == 0
    gone = {key for key in with_redis if key not in without}
    assert gone == {key for key in with_redis if key[0].startswith("lambda_router_queue_")}
    assert without["process_cpu_seconds_total",] > 0


@pytest.mark.parametrize(
    ("gate", "wanted"),
    [(Gate(), 1), (Gate(is_open=False), 0), (Gate(False, facts={}), None)],
    ids=["up", "down", "none"],
)
def test_the_model_servers_state_is_the_gates(gate: Gate, wanted: int | None) -> None:
    assert Page(consumer=Consumer(gate=gate)).samples().get(("lambda_router_model_server_up",)) == wanted


def test_an_exporter_has_the_queues_metrics_and_none_of_a_worker() -> None:
    names = {key[0] for key in Page(is_worker=False).samples() if not key[0].startswith("process_")}

    assert names == {family for family in Family if family.is_of_queue} | {"lambda_router_redis_up"}


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get", ""])
def test_any_other_method_is_refused(method: str) -> None:
    status, headers, body = Page().answered(method)

    assert (status, headers["Allow"], body) == ("HTTP/1.1 405 Method Not Allowed", "GET", b"")


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", "text/plain; version=0.0.4"),
        ("text/html", "text/plain; version=0.0.4"),
        (PROMETHEUS, "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text; version=1.0.0, text/plain", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text;version=x.y.z", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text;version=;;;=,,q", "application/openmetrics-text; version=1.0.0"),
        ("\xff" * 5_000, "text/plain; version=0.0.4"),
    ],
    ids=["none", "a browser", "Prometheus", "plain", "no number", "half", "bytes"],
)
def test_the_format_is_the_one_that_is_accepted(accept: str, wanted: str) -> None:
    status, headers, body = Page().answered(accept=accept)

    assert status == "HTTP/1.1 200 OK"
    assert headers["Content-Type"].startswith(wanted)
    assert body.endswith(b"# EOF\n") == ("openmetrics" in wanted)


@pytest.mark.parametrize(
    ("encodings", "is_packed"), [("gzip", True), ("br, GZIP;q=0.5", True), ("", False), ("identity, br", False)]
)
def test_the_page_is_compressed_if_that_is_accepted(encodings: str, is_packed: bool) -> None:
    _, headers, body = Page().answered(accept_encoding=encodings)

    assert headers.get("Content-Encoding") == ("gzip" if is_packed else None)
    assert b"lambda_router_redis_up" in body


def test_hostile_names_stay_one_labels_value() -> None:
    hostile = 'a"} 1\nlambda_router_jobs_total{x="\\'
    samples = Page(consumer=Consumer(gate=Gate(facts={"model": hostile}))).samples()

    assert samples["lambda_router_worker_info", hostile, "1.2.3"] == 1


def test_the_process_is_measured_where_the_unit_hides_proc_stat(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to("/proc/self")

    found = {family.name for family in _Process(proc=str(tmp_path), registry=None).collect()}

    assert {"process_cpu_seconds", "process_resident_memory_bytes", "process_start_time_seconds"} <= found


def test_a_models_name_that_is_no_text_costs_no_scrape() -> None:
    """A variable that is not UTF-8 has such a name."""
    samples = Page(consumer=Consumer(gate=Gate(facts={"model": "modèle-\udce9"}))).samples()

    assert samples["lambda_router_worker_info", "modèle-\ufffd", "1.2.3"] == 1
