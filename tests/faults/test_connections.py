"""One connection for each process, and what becomes of it while the process sleeps; counted by the server."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib import wiring
from tests.conftest import MakeToken, Router
from tests.faults.conftest import ENVIRONMENTS, MakePlans
from tests.faults.kit import eventually, size
from tests.faults.proxy import BlackHole, Fault, ForgetConnections, Reset, SwallowReplies
from tests.faults.run import Environment, Run
from tests.faults.site import Site, one_server, one_server_behind_a_proxy


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with one_server_behind_a_proxy(tmp_path) as site:
        yield site


def opened(site: Site) -> int:
    """Connections that the server has accepted since it was started."""
    return int(site.main.db.info("stats")["total_connections_received"])


def test_each_process_keeps_one_connection_however_much_it_is_asked(
    environments: list[Environment], make_plans: MakePlans, tmp_path: Path
) -> None:
    with one_server(tmp_path) as site:
        before, run = opened(site), Run(environments)
        run.begin(make_plans(site.url(login=True)))
        eventually(lambda: site.connections() >= ENVIRONMENTS, 20, "every process has come")
        run.acknowledge(size(100, 10_000))
        kept = site.connections()
        run.end()

        assert (kept, opened(site) - before) == (ENVIRONMENTS, ENVIRONMENTS)


@pytest.mark.parametrize("how", ["closed by the server", "dead without a word"])
def test_a_process_that_thaws_with_a_dead_connection_succeeds_at_its_next_request_with_one_new_one(
    environments: list[Environment], make_plans: MakePlans, site: Site, how: str
) -> None:
    run = Run(environments)
    run.begin(make_plans(site.url(login=True)))
    run.acknowledge(20)
    for environment in environments:
        os.kill(environment.pid, signal.SIGSTOP)
    before = opened(site)
    if how == "dead without a word":
        site.link().fault = ForgetConnections()
    else:
        site.main.db.execute_command("CLIENT", "KILL", "USER", "router")
    for environment in environments:
        os.kill(environment.pid, signal.SIGCONT)
    run.acknowledge(run.history.acknowledged + 40)
    run.end()

    assert run.history.statuses() == {202}
    assert opened(site) - before == ENVIRONMENTS


BROKEN: dict[str, Fault] = {"silent": BlackHole(), "mute": SwallowReplies(), "resetting": Reset()}


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
def test_a_request_that_gets_no_answer_opens_two_connections_at_most(
    site: Site, environ: dict[str, str], make_token: MakeToken, generate: dict[str, Any], fault: Fault
) -> None:
    router = Router(make_token())
    with wiring.use(wiring.build(environ | {"REDIS_URL": site.url(login=True)})):
        site.link().fault = fault
        for number in range(1, 3):
            assert router.post("/v1/jobs", generate).status == 503
            assert site.link().connections <= 2 * number
        site.link().fault = Fault()
        assert router.post("/v1/jobs", generate).status == 202

    eventually(lambda: site.connections() <= 1, 10, "what was given up on is closed")
