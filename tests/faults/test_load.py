"""A long soak with faults, and twice as many jobs as can be worked; small sizes of both are rehearsals.

Requests go to the real Lambda entry point, in processes that have one request at a time each. A request that comes
while its process is at work is not sent: Lambda would start another environment for it, or throttle it. So what is
measured is what one environment takes for a request, not how long a queue before it grows.
"""

import itertools
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import ENVIRONMENTS, MakePlans, Tell
from tests.faults.history import percentile, read
from tests.faults.kit import FULL, QUEUE, Crew, eventually, size
from tests.faults.resources import Resources
from tests.faults.run import Environment, Run, deliveries
from tests.faults.site import Site, one_server_behind_a_proxy
from tests.faults.troubles import TROUBLES

MEASURED_SECONDS = 20 if FULL else 1.5
SOAK_SECONDS = size(45, 600)
FAULT_EVERY_SECONDS = size(5, 20)
OVERLOAD_SECONDS = size(15, 120)
#: Growth is looked at after these: what is kept for a while is as much as it will be.
SOAK_SETTLES_SECONDS = size(10, 120)
OVERLOAD_SETTLES_SECONDS = size(5, 75)
MAX_GROWTH = 0.05
MAX_REFUSAL_SECONDS = 0.1
SAMPLE_EVERY_SECONDS = 0.5

#: How many may wait while the maximum is measured: so few that what is accepted is what is worked.
FEW = 200
#: How many times what can be worked the overload has to send. It asks for more: what comes while a process is at work
#: is not sent. In a small run other tests share the machine.
SENT = 2 if FULL else 1.5
ASKED = 2.25
#: The workers of the overload: what a job takes, how many at a time, and how many may wait.
WORK_MS = size(100, 50)
AT_A_TIME = 4
WAITING = size(10, 200)
#: Jobs and keys are forgotten soon, so that a server in balance holds the same at all times.
SHORT = {"ROUTER_STORE_RESULT_SECONDS": "60", "ROUTER_IDEMPOTENCY_SECONDS": "60"}
FORGETFUL: dict[str, Any] = {"ttl_seconds": 50, "repeat_within_seconds": 30}

pytestmark = pytest.mark.rehearsal

#: Faults of one server or of the link to it, in the order in which a soak goes through them.
SOAK_TROUBLES = [
    TROUBLES[name]
    for name in (
        "connections are killed",
        "the link is cut",
        "the server is killed and restarted from its AOF",
        "scripts are flushed",
        "memory is full",
        "replies are dropped, slow and sliced",
        "the primary is demoted",
        "the server is paused",
        "the callers' user is off",
    )
]


def capacity(run: Run, make_plans: MakePlans, site: Site, waiting: int) -> float:
    """Jobs a second that are accepted, from callers who never pause, while no more than these may wait."""
    eventually(lambda: site.main.db.zcard(QUEUE.workers), 30, "a worker is there")
    run.begin(make_plans(site.url(login=True), SHORT | {"ROUTER_QUEUE_CAP": str(waiting)}, stage="capacity"))
    run.acknowledge(1)
    began, before = time.monotonic(), run.history.acknowledged
    time.sleep(MEASURED_SECONDS)
    read(run.tails, run.history)
    most = (run.history.acknowledged - before) / (time.monotonic() - began)
    run.end()
    return most


def soak(run: Run, site: Site, resources: Resources) -> list[float]:
    """Let one fault after the other happen; how long each took to be got over."""
    ends = time.monotonic() + SOAK_SECONDS
    recoveries = []
    for trouble in itertools.cycle(SOAK_TROUBLES):
        watch(run, resources, min(FAULT_EVERY_SECONDS - trouble.seconds, ends - time.monotonic()))
        if time.monotonic() + trouble.seconds > ends:
            return recoveries
        recoveries.append(run.recover(trouble.happen(site)))
    raise AssertionError("a cycle has no end")


def watch(run: Run, resources: Resources, seconds: float) -> None:
    """Take samples for that long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        resources.sample()
        read(run.tails, run.history)
        time.sleep(SAMPLE_EVERY_SECONDS)


def growths(resources: Resources, settled: float) -> tuple[float, float]:
    """Of the processes' memory, and of the server's, after so many seconds."""
    return (
        resources.growth(lambda sample: sample.process_bytes, settled),
        resources.growth(lambda sample: sample.server_bytes, settled),
    )


def wait_until_done(site: Site) -> None:
    eventually(lambda: site.main.entries_left() == 0, 120, "all jobs are done")


@pytest.mark.timeout(1_200 if FULL else 180)
def test_a_soak_with_faults_answers_202_or_503_loses_nothing_and_grows_nothing(
    environments: list[Environment], make_plans: MakePlans, tmp_path: Path, tell: Tell
) -> None:
    with one_server_behind_a_proxy(tmp_path, **{"auto-aof-rewrite-percentage": "100"}) as site:
        crew = Crew(site.url(login=False, direct=True), tmp_path, "tests.faults.keyed_handler:work")
        crew.hire(["--concurrency", "10"])
        run = Run(environments)
        most = capacity(run, make_plans, site, FEW)
        pace = 0.6 * most / ENVIRONMENTS
        resources = Resources([environment.pid for environment in environments], site)
        run.begin(make_plans(site.url(login=True), SHORT, per_second=pace, stage="soak", **FORGETFUL))
        recoveries = soak(run, site, resources)
        run.end()
        wait_until_done(site)
        crew.close()

    history = run.history
    assert history.contradictions(deliveries(crew)) == []
    assert history.statuses() <= {202, 503}
    assert {sample.sockets for sample in resources.samples} <= set(range(ENVIRONMENTS + 1)), "one socket each, or none"
    process, server = growths(resources, SOAK_SETTLES_SECONDS)
    assert not FULL or max(process, server) < MAX_GROWTH
    tell(
        f"soak {SOAK_SECONDS} s at {0.6 * most:.0f} of at most {most:.0f} jobs/s | faults: {len(recoveries)}"
        f" | acknowledged: {history.count('202')} | unknown: {history.count('unknown')} | lost: 0 | doubled: 0"
        f" | answers: {history.counts()} | 503: p99 {percentile(history.refusals(), 0.99):.2f} s"
        f" | first 202 after: {max(recoveries):.2f} s at most | growth: processes {process:+.1%}, server {server:+.1%}"
        f" | sockets: {resources.samples[-1].sockets} of {ENVIRONMENTS} processes"
    )


@pytest.mark.timeout(600 if FULL else 180)
def test_twice_as_many_jobs_as_can_be_worked_are_answered_202_429_or_503_and_nothing_grows(
    environments: list[Environment],
    make_plans: MakePlans,
    tmp_path: Path,
    tell: Tell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The workers are the bottleneck: their jobs take a while. One caller sends most, and more than its rate allows."""
    monkeypatch.setenv("ROUTER_FAULT_WORK_MS", str(WORK_MS))
    with one_server_behind_a_proxy(tmp_path, appendfsync="everysec") as site:
        crew = Crew(site.url(login=False, direct=True), tmp_path, "tests.faults.keyed_handler:work")
        crew.hire(["--concurrency", str(AT_A_TIME)])
        run = Run(environments)
        most = capacity(run, make_plans, site, WAITING)
        wait_until_done(site)
        over = Run(environments)
        limits = {
            "ROUTER_QUEUE_CAP": str(WAITING),
            "ROUTER_RATE_PER_MINUTE": str(round(0.6 * most * 60)),
            "ROUTER_RATE_BURST": str(WAITING),
        }
        resources = Resources([environment.pid for environment in environments], site)
        pace: dict[str, Any] = {"per_second": ASKED * most / ENVIRONMENTS, "favourite": 0.6, **FORGETFUL}
        over.begin(make_plans(site.url(login=True), SHORT | limits, stage="overload", **pace))
        began = time.monotonic()
        watch(over, resources, OVERLOAD_SECONDS)
        load = len(over.history.answers) / (time.monotonic() - began) / most
        over.end()
        wait_until_done(site)
        crew.close()

    history = over.history
    contradictions = [line for line in history.contradictions(deliveries(crew)) if not line.startswith("capacity")]
    assert contradictions == []
    assert load >= SENT
    assert history.statuses() <= {202, 429, 503}
    assert {429, 503} & history.statuses()
    assert {sample.sockets for sample in resources.samples} <= set(range(ENVIRONMENTS + 1)), "one socket each, or none"
    process, server = growths(resources, OVERLOAD_SETTLES_SECONDS)
    slow = percentile(history.refusals(), 0.99)
    assert not FULL or (max(process, server) < MAX_GROWTH and slow < MAX_REFUSAL_SECONDS)
    tell(
        f"overload {OVERLOAD_SECONDS} s | workers can do {most:.0f} jobs/s | sent: {len(history.answers)}"
        f" ({load:.0%} of that) | answers: {history.counts()}"
        f" | refusals: p50 {percentile(history.refusals(), 0.5) * 1000:.1f} ms, p99 {slow * 1000:.1f} ms"
        f" | lost: 0 | doubled: 0 | growth: processes {process:+.1%}, server {server:+.1%}"
    )
