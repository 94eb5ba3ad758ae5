"""1.5 s means 1.5 s: resolve, connect, TLS, write and read share one clock, and a request's questions another."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import pytest
import redis

from chalicelib import wiring
from chalicelib.callers.jwks import fetch_jwks
from chalicelib.errors import QueueUnavailable
from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.redis_client import ATTEMPT_SECONDS, RedisClient, connect
from chalicelib.jobs.redis_connection import Connection
from chalicelib.parameters import ParameterUnavailable, fetch_parameter
from chalicelib.wiring import Services
from lambda_router_queue import deadlines
from lambda_router_queue.deadlines import QUESTION_SECONDS, REQUEST_SECONDS, Address, dial
from lambda_router_queue.encryption.data_keys import DataKeys, KeyUnavailable
from lambda_router_queue.redis.url import RedisAddress
from tests.conftest import Router
from tests.integration.backend.hostile_servers import serving
from tests.kms import take_role

#: For a machine that has other work.
SLACK = 0.4
HOST = "several.example"
FOUR = [f"127.0.0.{last}" for last in (2, 3, 4, 5)]


def listed(addresses: list[str], host: str, port: int) -> list[Address]:
    """What a resolver says of a host that has these addresses."""
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (each, port)) for each in addresses]


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port on which none of FOUR answers: their queues of connections are full."""
    with ExitStack() as open_sockets:
        port = 0
        for address in FOUR:
            deaf = open_sockets.enter_context(socket.create_server((address, port), backlog=0))
            port = deaf.getsockname()[1]
            for _ in range(4):
                caller = open_sockets.enter_context(socket.socket())
                caller.setblocking(False)
                caller.connect_ex(deaf.getsockname())
        yield port


@pytest.fixture
def stuck() -> Iterator[Callable[[str, int], list[Address]]]:
    """A resolver that says nothing until the test is over."""
    over = threading.Event()
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[Address]:
        asked.append(host)
        over.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    resolver.asked = asked  # type: ignore[attr-defined]
    yield resolver
    over.set()


@contextmanager
def taking(at_most: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < at_most + SLACK


def redis_at(host: str, port: int, ask: deadlines.Resolve) -> RedisClient:
    address = RedisAddress.of(f"redis://{host}:{port}/0")
    return RedisClient(lambda: Connection(address, ATTEMPT_SECONDS, partial(dial, ask=ask)))


def test_a_jwks_host_with_four_dead_addresses_is_given_up_on_in_time(dead_port: int) -> None:
    ask = partial(listed, FOUR)
    with taking(QUESTION_SECONDS), pytest.raises(OSError, match=r"timed out|in time"):
        fetch_jwks(f"http://{HOST}:{dead_port}/jwks.json", partial(dial, ask=ask))


def test_redis_with_four_dead_addresses_is_given_up_on_in_time(dead_port: int) -> None:
    with taking(QUESTION_SECONDS), pytest.raises(QueueUnavailable):
        redis_at(HOST, dead_port, partial(listed, FOUR)).ping()


def test_an_address_that_answers_is_found_behind_dead_ones(dead_port: int) -> None:
    with (
        socket.create_server(("127.0.0.6", dead_port)),
        deadlines.within(QUESTION_SECONDS),
        dial(HOST, dead_port, partial(listed, [*FOUR[:2], "127.0.0.6"])) as found,
    ):
        assert found.getpeername() == ("127.0.0.6", dead_port)


def test_a_slow_resolver_is_given_up_on_in_time_and_holds_one_thread(stuck: Any) -> None:
    before = threading.active_count()
    for _ in range(2):
        with taking(QUESTION_SECONDS), pytest.raises(OSError, match="in time"):
            fetch_jwks("http://slow.example/jwks.json", partial(dial, ask=stuck))
    with taking(QUESTION_SECONDS), pytest.raises(QueueUnavailable):
        redis_at("slow.example", 80, stuck).ping()
    assert stuck.asked == ["slow.example"]
    assert threading.active_count() <= before + 1


def test_threads_that_are_left_behind_are_bounded() -> None:
    over = threading.Event()
    try:
        for _ in range(deadlines.MOST_LEFT_BEHIND + 4):
            with deadlines.within(0.01), pytest.raises(TimeoutError):
                deadlines.in_time(lambda: over.wait(30))
        left_behind = [thread for thread in threading.enumerate() if thread.name == "left-behind"]
        assert len(left_behind) <= deadlines.MOST_LEFT_BEHIND
    finally:
        over.set()


def test_a_dripping_resolver_of_redis_and_a_script_that_has_to_be_sent_share_the_time(redis_url: str) -> None:
    """Each command of a question has no clock of its own: EVALSHA, then EVAL, twice."""

    class Slow:
        def __init__(self) -> None:
            self._real = connect(redis_url)

        def execute(self, *parts: Any) -> Any:
            time.sleep(0.5)
            return self._real.execute("PING")

        def close(self) -> None:
            self._real.close()

    def question(connection: Any) -> None:
        for _ in range(4):
            connection.execute()

    with taking(QUESTION_SECONDS + 0.5), pytest.raises(QueueUnavailable):
        RedisClient(Slow)._ask(question)


@pytest.fixture
def dripping(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS, as a server that says a byte of its answer now and then."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not over.wait(0.2):
            connection.sendall(b"{")

    take_role(monkeypatch)
    with serving(drip) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url.replace("redis://", "http://").removesuffix("/0"))
        yield
        over.set()


def test_an_ssm_that_drips_is_given_up_on_in_time(dripping: None) -> None:
    with pytest.raises(ParameterUnavailable):
        fetch_parameter("REDIS_URL_PARAMETER", "/x")  # boto3 is imported, which is no question's time
    with taking(QUESTION_SECONDS + 0.3), pytest.raises(ParameterUnavailable, match="no answer in time"):
        fetch_parameter("REDIS_URL_PARAMETER", "/x")


def test_a_kms_that_drips_is_given_up_on_in_time(dripping: None) -> None:
    keys = DataKeys("alias/jobs")
    with pytest.raises(KeyUnavailable):
        keys.current("queue")
    with taking(QUESTION_SECONDS), pytest.raises(KeyUnavailable, match="no answer in time"):
        keys.current("queue")


class EachTakes:
    """A connection to Redis whose every answer takes its time, and comes."""

    def __init__(self, url: str, seconds: float) -> None:
        self._real, self._seconds = connect(url), seconds

    def execute(self, *parts: Any) -> Any:
        time.sleep(self._seconds)
        return self._real.execute(*parts)

    def execute_all(self, commands: Any) -> list[Any]:
        time.sleep(self._seconds)
        return self._real.execute_all(commands)

    def close(self) -> None:
        self._real.close()


def slow_services(services: Services, redis_url: str, seconds: float) -> Services:
    queue = services.queue
    slow = JobQueue(RedisClient(lambda: EachTakes(redis_url, seconds)), queue._policy, list(queue._queues))
    return services._replace(queue=slow)


def test_all_questions_of_a_request_share_three_seconds(
    router: Router, services: Services, redis_url: str, generate: dict[str, Any], db: redis.Redis
) -> None:
    router.post("/v1/jobs", generate)
    [key] = db.scan_iter("*:owner:*")
    db.zadd(key, {f"word {each}": 10**13 for each in range(5_000)})  # no ids: the list is read again and again
    with wiring.use(slow_services(services, redis_url, 0.6)), taking(REQUEST_SECONDS + 0.6):
        reply = router.get("/v1/jobs")
    assert reply.status == 503


def test_what_a_caller_waits_for_of_its_own_will_does_not_count(
    router: Router, services: Services, redis_url: str, generate: dict[str, Any]
) -> None:
    location = router.post("/v1/jobs", generate).headers["location"]
    with wiring.use(slow_services(services, redis_url, 0.3)):
        reply = router.get(location, headers={"Prefer": "wait=5"})
    assert (reply.status, reply.headers["preference-applied"]) == (200, "wait=5")
