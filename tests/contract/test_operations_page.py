"""docs/operations.md: who copies its lines gets what it says."""

import asyncio
import re
import shlex
from collections.abc import Iterator
from functools import partial
from typing import Any

import click
import pytest
import redis
from click.testing import CliRunner

from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.redis_client import RedisClient, connect
from lambda_router_worker.cli import main
from lambda_router_worker.queue import connection
from lambda_router_worker.queue.work_queue import Lease, WorkQueue
from tests import servers
from tests.contract.repository import code_spans, fences, page, without_fences
from tests.protocol.conftest import QUEUE, Callers
from tests.protocol.test_transport import ROUTER_COMMANDS, WORKER_COMMANDS, work_one
from tests.wide import WIDE

PAGE = page("docs/operations.md")
PASSWORD = "a-password-of-the-tests"


def documented_users() -> dict[str, list[str]]:
    """The rules that the page gives each user."""
    block = re.search(r"<!-- users -->\n```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert block is not None
    calls = [shlex.split(line) for line in block[1].replace("\\\n", " ").splitlines()]
    return {call[3]: call[4:] for call in calls if call[:3] == ["valkey-cli", "ACL", "SETUSER"]}


def cluster_rules() -> list[str]:
    """What the page allows besides in a cluster."""
    sentence = re.search(r"In a cluster, .*?allow each\s+user\s+`([^`]+)`", PAGE, re.DOTALL)
    assert sentence is not None
    return shlex.split(sentence[1])


@pytest.fixture(scope="module", params=["valkey", "cluster"])
def engine_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with servers.engine(request.param) as url:
        yield url


@pytest.fixture
def urls(engine_url: str) -> Iterator[dict[str, str]]:
    """The engine's URL for each of the page's users."""
    client: Any = servers.client_of(engine_url)
    client.flushall()
    is_cluster = isinstance(client, redis.RedisCluster)
    everywhere = {"target_nodes": redis.RedisCluster.ALL_NODES} if is_cluster else {}
    for user, rules in documented_users().items():
        given = [rule.replace(">…", f">{PASSWORD}") for rule in [*rules, *(cluster_rules() if is_cluster else [])]]
        client.execute_command("ACL SETUSER", user, *given, **everywhere)
    yield {user: engine_url.replace("://", f"://{user}:{PASSWORD}@") for user in documented_users()}
    client.close()


@pytest.mark.parametrize(("user", "commands"), [("router", ROUTER_COMMANDS), ("worker", WORKER_COMMANDS)])
def test_a_user_may_what_the_protocols_tests_allow_it(user: str, commands: str) -> None:
    allowed = {rule.removeprefix("+") for rule in documented_users()[user] if rule.startswith("+")}

    assert allowed == set(commands.split())
    assert documented_users()[user][:4] == ["reset", "on", ">…", f"~lr:{{{QUEUE.queue}}}:*"]


def test_the_pages_users_are_enough_for_router_worker_and_operator(urls: dict[str, str]) -> None:
    router = Callers(JobQueue(RedisClient(partial(connect, urls["router"])), WIDE, [QUEUE.queue]))
    job_id, other = router.send_one(), router.send_one("bob", delay_seconds=60)
    environ = {"REDIS_URL": urls["worker"]}

    assert asyncio.run(work_one(urls["worker"])) == "done"
    assert router.look(job_id).status == "completed"
    assert router.cancel(other, "bob").status == "cancelled"
    assert [job.id for job in router.side.page("alice", 5, None, None)[0]] == [job_id]
    router.send_one("carol")
    assert asyncio.run(give_up_one(urls["worker"])) == "dead"
    for words, said in (("stats", "dead       1"), ("dead list", "busy"), ("dead retry --all", ": queued")):
        result = CliRunner().invoke(main, words.split(), env=environ)
        assert (result.exit_code, said in result.output) == (0, True), result.output
    assert CliRunner().invoke(main, ["dead", "discard", "--all"], env=environ).exit_code == 0


async def give_up_one(url: str) -> str:
    """Make the last attempt at one job fail."""
    client = connection.connect(url)
    queue = WorkQueue(client, QUEUE.queue, "worker-2")
    try:
        await queue.prepare()
        (claim,) = await queue.claim(1)
        lease = await queue.start(claim, "carol")
        assert isinstance(lease, Lease)
        return await queue.retry(lease, 0, 1, "busy", "Busy.")
    finally:
        await client.aclose()


async def prepare(url: str) -> None:
    """Make the queue, as a worker's start does."""
    client = connection.connect(url)
    try:
        await WorkQueue(client, QUEUE.queue, "worker-1").prepare()
    finally:
        await client.aclose()


def test_worker_commands_that_are_named_exist() -> None:
    known = set(_command_paths(main))
    named = {
        " ".join(re.findall(r"^(?:dead )?[a-z]+", words))
        for text in (PAGE, page("README.md"), page("docs/contract.md"))
        for part in [*fences(text), *code_spans(without_fences(text))]
        for words in re.findall(r"lambda-router-worker ([a-z][a-z ]*)", part)
    }

    assert named
    assert named <= known


def _command_paths(group: click.Group, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        yield before + name
        if isinstance(command, click.Group):
            yield from _command_paths(command, f"{before}{name} ")


def test_every_figure_of_stats_is_shown() -> None:
    """The page's example is what the command prints, number by number replaced."""
    with servers.engine("valkey") as url:
        asyncio.run(prepare(url))
        printed = CliRunner().invoke(main, ["stats"], env={"REDIS_URL": url}).output
    shown = next(fence for fence in fences(PAGE) if fence.startswith("$ lambda-router-worker stats\n"))

    assert [line.split()[0] for line in printed.splitlines()] == [line.split()[0] for line in shown.splitlines()[1:]]
