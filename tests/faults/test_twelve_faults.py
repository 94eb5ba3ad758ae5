"""Twelve faults, each under callers who submit and workers who work: what was acknowledged is done, once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import ENVIRONMENTS, MakePlans, Tell
from tests.faults.history import percentile
from tests.faults.kit import FULL, Crew, eventually, size
from tests.faults.run import Environment, Run, deliveries
from tests.faults.site import Site
from tests.faults.troubles import TROUBLES, Trouble
from tests.integration.answers import GIVE_UP_SECONDS

JOBS = size(60, 20_000)
#: How often the fault happens to one run, and for how long each time.
TIMES = size(1, 5)
WORKERS = size(1, 2)
#: A process has one connection; redis-py's cluster client has one to each node that it has to do with.
CONNECTIONS_EACH = 1
CONNECTIONS_EACH_OF_A_CLUSTER = 3


@contextmanager
def working(site: Site, folder: Path) -> Iterator[Crew]:
    """Workers at the site. A link's faults are theirs too, but in a small run, which waits for no lease."""
    direct = not FULL and len(site.servers) == 1
    crew = Crew(site.url(login=False, direct=direct), folder, "tests.faults.keyed_handler:work")
    try:
        for _ in range(WORKERS):
            crew.hire(["--concurrency", "10"])
        yield crew
    finally:
        crew.close()


@pytest.mark.timeout(1_200 if FULL else 120)
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_every_acknowledged_job_is_done_once_though(
    trouble: Trouble,
    environments: list[Environment],
    make_plans: MakePlans,
    tmp_path: Path,
    tell: Tell,
    request: pytest.FixtureRequest,
) -> None:
    with trouble.site(tmp_path) as site, working(site, tmp_path) as crew:
        run = Run(environments)
        trouble.prepare(site)
        run.begin(make_plans(site.url(login=True), batch=size(5, 25)))
        recoveries = [meet(trouble, site, run, JOBS * number // (TIMES + 1)) for number in range(1, TIMES + 1)]
        run.acknowledge(JOBS)
        connections = site.connections()
        run.end()
        wait_until_done(site, crew)

        given = deliveries(crew)
        assert run.history.contradictions(given) == []
        assert site.final_writes() == dict.fromkeys({job["id"] for job in given}, 1)
    refusals = run.history.refusals()
    assert run.history.statuses() <= {202, 503}
    assert max(refusals, default=0) < GIVE_UP_SECONDS
    assert 0 < connections <= ENVIRONMENTS * connections_each(site)
    tell(
        f"{request.node.callspec.id} | times: {TIMES} | acknowledged: {run.history.count('202')}"
        f" | unknown: {run.history.count('unknown')} | lost: 0 | doubled: 0 | 503: {len(refusals)}, p99"
        f" {percentile(refusals, 0.99):.2f} s | first 202 after: {max(recoveries):.2f} s"
        f" | connections: {connections} of {ENVIRONMENTS} processes"
    )


def meet(trouble: Trouble, site: Site, run: Run, after: int) -> float:
    """Let the fault happen once that many jobs are acknowledged; seconds from its end to the first 202."""
    run.acknowledge(after)
    said = site.said(trouble.says)
    healed = trouble.happen(site)
    took = run.recover(healed)
    assert not trouble.says or site.said(trouble.says) != said, f"nobody was told {trouble.says}: not the fault it was"
    return took


def wait_until_done(site: Site, crew: Crew) -> None:
    try:
        eventually(lambda: site.main.entries_left() == 0, 300 if FULL else 60, "all jobs are done")
    except AssertionError as error:
        raise AssertionError(f"{error}; {site.main.entries_left()} left; log:\n{crew.said()[-4000:]}") from None


def connections_each(site: Site) -> int:
    return CONNECTIONS_EACH if site.scheme == "redis" else CONNECTIONS_EACH_OF_A_CLUSTER
