"""A page costs a bounded number of round trips, whatever stands in its caller's lists, and says where it goes on."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from chalicelib import wiring
from chalicelib.jobs.admission import Caller, Submission
from chalicelib.jobs.job_pages import MAX_ROUND_TRIPS, MAX_SCANNED_JOBS
from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.job_types import JOB_TYPES, JobType, generate_input, registry
from chalicelib.jobs.redis_client import RedisClient, RedisConnection, connect
from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_queue.redis.wire import Argument
from tests.conftest import Reply, Router
from tests.integration.answers import ids
from tests.integration.in_redis import QUEUE
from tests.integration.submissions import new_job
from tests.wide import WIDE

type Route = Callable[..., Router]
ALICE = hashlib.sha256(b"alice").hexdigest()[:32]
LARGEST = 4 * 1024 * 1024 - 2


@pytest.fixture
def route(environ: dict[str, str], router: Router) -> Iterator[Route]:
    """The app with so many queues, the first of which is QUEUE."""
    with ExitStack() as stack:

        def build(queues: int = 1) -> Router:
            others = [JobType(f"type{each}", generate_input, queue=f"queue{each}") for each in range(1, queues)]
            types = registry(*JOB_TYPES.values(), *others)
            services = wiring.build(environ, types)
            client = RedisClient(lambda: Counted(connect(environ["REDIS_URL"])))
            names = [keys.queue for keys in queue_keys(queues)]
            queue = JobQueue(client, WIDE, names)
            stack.callback(queue.close)
            stack.enter_context(wiring.use(services._replace(queue=queue)))
            return router

        yield build


def queue_keys(queues: int) -> list[QueueKeys]:
    return [QueueKeys(QUEUE), *(QueueKeys(f"queue{each}") for each in range(1, queues))]


def send(count: int, keys: QueueKeys) -> list[str]:
    """Jobs of alice's in that queue; their ids."""
    jobs = [new_job() for _ in range(count)]
    caller = Caller(ALICE, "request-1", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    for start in range(0, count, 500):
        admission = wiring.services().queue.submit(Submission(jobs[start : start + 500], keys, caller))
        assert {decision.verdict for decision in admission.decisions} == {"accepted"}
    return [job.job_id for job in jobs]


def end(db: redis.Redis, keys: QueueKeys, *job_ids: str, result: str = "1") -> None:
    """As if a worker had completed them."""
    for job_id in job_ids:
        db.hset(keys.job(job_id), mapping={"status": "completed", "result": result})


class Counted:
    """A connection that counts how often something is sent and waited for."""

    round_trips = 0

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    def execute(self, *parts: Argument) -> Any:
        Counted.round_trips += 1
        return self._connection.execute(*parts)

    def execute_all(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        Counted.round_trips += 1
        return self._connection.execute_all(commands)

    def close(self) -> None:
        self._connection.close()


def round_trips(action: Callable[[], Any]) -> int:
    """How often Redis is asked, its scripts at hand."""
    action()
    before = Counted.round_trips
    action()
    return Counted.round_trips - before


def commands(db: redis.Redis) -> int:
    """Commands of ours that the server has carried out, as it counts them itself."""
    stats = db.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "zrange"))


def through(router: Router, limit: int = 20, **query: str) -> tuple[list[str], list[Reply]]:
    """All ids that the pages lead to, and the pages; each within its bounds."""
    given = {name: [value] for name, value in query.items()} | {"limit": [str(limit)]}
    replies: list[Reply] = []
    found: list[str] = []
    while len(replies) < 400:
        trips = round_trips(lambda: replies.append(router.get("/v1/jobs", query=given)))
        reply = replies.pop()
        assert replies.pop().body == reply.body
        assert reply.status == 200, reply.body
        assert trips <= MAX_ROUND_TRIPS
        assert len(reply.body.encode()) < 6_000_000
        replies.append(reply)
        found += ids(reply)
        assert reply.json["stopped_early"] == (reply.json["has_more"] and len(ids(reply)) < limit)
        if not reply.json["has_more"]:
            assert len(set(found)) == len(found)
            return found, replies
        given["cursor"] = [reply.json["next_cursor"]]
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("limit", [1, 20, 100])
@pytest.mark.parametrize("queues", [1, 3, 12])
def test_a_rare_status_behind_thousands_of_jobs(queues: int, limit: int, route: Route, db: redis.Redis) -> None:
    router = route(queues)
    lists = queue_keys(queues)
    rare = {keys: send(1, keys)[0] for keys in lists}
    for keys in lists:
        send(5_000 // queues, keys)
    for keys, job_id in rare.items():
        end(db, keys, job_id)

    found, replies = through(router, limit, status="completed")
    before = commands(db)
    router.get("/v1/jobs", query={"status": ["completed"], "limit": [str(limit)]})

    assert queues > 3 or commands(db) - before <= MAX_ROUND_TRIPS
    assert sorted(found) == sorted(rare.values())
    assert replies[0].json["stopped_early"]
    assert len(replies) <= 5_000 // MAX_SCANNED_JOBS + 2 + len(found) // limit


@pytest.mark.parametrize("status", ["queued", None])
def test_a_list_whose_records_are_gone(status: str | None, route: Route, db: redis.Redis) -> None:
    router = route(2)
    kept = []
    for keys in queue_keys(2):
        kept += send(2, keys)
        gone = send(1_200, keys)
        kept += send(2, keys)
        db.delete(*map(keys.job, gone))

    found, _ = through(router, 3, **({"status": status} if status else {}))

    assert sorted(found) == sorted(kept)


@pytest.mark.parametrize("queues", [1, 3])
def test_a_page_of_the_largest_results(queues: int, route: Route, db: redis.Redis) -> None:
    router = route(queues)
    sent = []
    for keys in queue_keys(queues):
        some = send(3, keys)
        end(db, keys, *some[:2], result=f'"{"x" * LARGEST}"')
        sent += some

    found, _ = through(router)

    assert sorted(found) == sorted(sent)


def test_results_of_another_status_are_not_read(route: Route, db: redis.Redis) -> None:
    router = route()
    [wanted, *others] = send(40, queue_keys(1)[0])
    end(db, queue_keys(1)[0], *others, result=f'"{"x" * LARGEST}"')
    before = db.info("stats")["total_net_output_bytes"]

    reply = router.get("/v1/jobs", query={"status": ["queued"]})

    assert ids(reply) == [wanted]
    assert db.info("stats")["total_net_output_bytes"] - before < 100_000


GARBAGE: dict[str, Callable[[int], dict[str, float]]] = {
    "words": lambda now: {f"word {each}": now - each for each in range(3_000)},
    "words of one millisecond": lambda now: {f"word {each}": now for each in range(3_000)},
    "words behind all ids": lambda now: {f"a {each}": now for each in range(3_000)},
    "fractions": lambda now: {f"job_{each:032x}": now + each / 4_000 for each in range(1, 3_000)},
    "scores beyond all time": lambda now: {f"job_{each:032x}": 1e15 + each for each in range(3_000)},
    "infinite scores": lambda now: {f"job_{each:032x}": float("inf") for each in range(3_000)},
    "negative scores": lambda now: {f"job_{each:032x}": -each for each in range(1, 3_000)},
}


@pytest.mark.parametrize("limit", [1, 100])
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_a_list_that_somebody_filled_with_other_things(
    garbage: Callable[[int], dict[str, float]], limit: int, route: Route, db: redis.Redis
) -> None:
    router = route(2)
    [keys, other] = queue_keys(2)
    sent = [*send(3, keys), *send(3, other)]
    now = db.time()[0] * 1000 + 60_000  # newer than all jobs
    db.zadd(keys.owner(ALICE), garbage(now))

    found, _ = through(router, limit)

    assert sorted(found) == sorted(sent)


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_hundreds_of_jobs_of_one_millisecond_are_listed_once(limit: int, route: Route, db: redis.Redis) -> None:
    router = route(2)
    [keys, other] = queue_keys(2)
    sent = [*send(150, keys), *send(150, other)]
    now = db.time()[0] * 1000
    for each in (keys, other):
        db.zadd(each.owner(ALICE), dict.fromkeys(sent, now), xx=True)

    found, _ = through(router, limit)

    assert found == sorted(sent, reverse=True)


def test_a_page_takes_two_round_trips_where_one_look_finds_enough(route: Route) -> None:
    router = route(3)
    for keys in queue_keys(3):
        send(300, keys)

    assert round_trips(lambda: router.get("/v1/jobs")) == 2
    assert round_trips(lambda: router.get("/v1/jobs", query={"status": ["queued"]})) == 2
    assert round_trips(lambda: router.get("/v1/jobs", query={"status": ["completed"]})) == 2


def test_a_job_that_expires_under_the_look_is_listed_as_expired_only(route: Route, db: redis.Redis) -> None:
    router = route()
    [keys] = queue_keys(1)
    [late, early] = send(2, keys)
    db.hset(keys.job(late), "deadline_at", 1_700_000_000_000)

    assert ids(router.get("/v1/jobs", query={"status": ["queued"]})) == [early]
    assert ids(router.get("/v1/jobs", query={"status": ["expired"]})) == [late]
