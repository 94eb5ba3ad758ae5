"""What the integration tests share: polling, hostile servers, a worker's hand, a look at everything in Redis."""

import asyncio
import contextlib
import json
import os
import socket
import socketserver
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from chalicelib.queue_keys import QueueKeys
from worker.consumer import Consumer
from worker.handlers import Handler
from worker.work_queue import Claim, Lease, WorkQueue

ROOT = Path(__file__).parents[2]
QUEUE = "tinyllama"
KEYS = QueueKeys(QUEUE)


def eventually(check: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The first true answer within that time, or the last answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(0.01)


async def soon(check: Callable[[], Any], seconds: float = 10.0) -> Any:
    """``eventually`` beside a running event loop."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer or time.monotonic() > deadline:
            return answer
        await asyncio.sleep(0.01)


def everything(db: Redis) -> dict[str, tuple[int, bytes]]:
    """Every key with its expiry time and its whole value, for comparing before with after."""
    with Redis.from_url(redis_url_of(db)) as raw:
        return {key.decode(): (raw.pexpiretime(key), raw.dump(key)) for key in raw.scan_iter()}


def every_text(db: Redis) -> str:
    """All keys and values as one text to search in."""
    read: dict[str, Callable[[str], Any]] = {
        "string": db.get,
        "hash": db.hgetall,
        "zset": lambda key: db.zrange(key, 0, -1, withscores=True),
        "stream": db.xrange,
    }
    return "\n".join(f"{key} {read[db.type(key)](key)}" for key in db.scan_iter())


def entries(db: Redis, priority: str = "normal") -> list[tuple[str, dict[str, Any]]]:
    """Entry ids and envelopes of a stream."""
    return [(entry_id, json.loads(fields["job"])) for entry_id, fields in db.xrange(KEYS.stream(priority))]


def stored_jobs(db: Redis) -> int:
    """Entries in all streams."""
    return sum(db.xlen(stream) for stream in KEYS.streams)


def redis_url_of(db: Redis) -> str:
    where = db.connection_pool.connection_kwargs
    return f"redis://{where['host']}:{where['port']}/0"


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without the variables of the product, and with these."""
    ours = ("COGNITO_", "ROUTER_", "REDIS_", "WORKER_", "AWS_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}  # noqa: TID251
    return inherited | {"PYTHONPATH": str(ROOT)} | variables


# A worker's hand


def _async_client(redis_url: str) -> AsyncRedis:
    return AsyncRedis.from_url(
        redis_url, socket_timeout=5, retry=Retry(NoBackoff(), 0), decode_responses=True, protocol=2
    )


@asynccontextmanager
async def work_queue(
    redis_url: str, consumer: str = "worker-1", lease_ms: int = 30_000, *, prepare: bool = True
) -> AsyncIterator[WorkQueue]:
    """A worker's side of the queue, its consumer group made."""
    async with _async_client(redis_url) as redis:
        queue = WorkQueue(redis, QUEUE, consumer, lease_ms)
        if prepare:
            await queue.prepare()
        yield queue


async def claim_one(queue: WorkQueue) -> Claim:
    [claim] = await queue.claim(1, 0)
    return claim


async def start_one(queue: WorkQueue) -> Lease:
    lease = await queue.start(await claim_one(queue))
    assert isinstance(lease, Lease), lease
    return lease


def begin_job(redis_url: str) -> Lease:
    """Claim and start the next job, as a worker that then goes quiet."""

    async def begin() -> Lease:
        async with work_queue(redis_url) as queue:
            return await start_one(queue)

    return asyncio.run(begin())


def finish_begun(redis_url: str, lease: Lease) -> str:
    """Finish a job that was begun before."""

    async def finish() -> str:
        async with work_queue(redis_url, prepare=False) as queue:
            return await queue.finish(lease, "completed", "result", '"done"')

    return asyncio.run(finish())


def finish_job(redis_url: str, *, result: Any = None, error: dict[str, str] | None = None) -> None:
    """Claim, start and finish the next job, as a worker would."""

    async def finish() -> str:
        async with work_queue(redis_url) as queue:
            lease = await start_one(queue)
            if error is not None:
                return await queue.finish(lease, "failed", "error", json.dumps(error))
            return await queue.finish(lease, "completed", "result", json.dumps(result))

    assert asyncio.run(finish()) == "done"


@asynccontextmanager
async def working(
    redis_url: str, handler: Handler, concurrency: int = 1, lease_ms: int = 30_000
) -> AsyncIterator[tuple[Consumer, Callable[[], Awaitable[None]]]]:
    """A consumer at work, and the way to stop it and wait for its end."""
    async with _async_client(redis_url) as redis:
        consumer = Consumer(WorkQueue(redis, QUEUE, "worker-1", lease_ms), handler, concurrency)
        stop = asyncio.Event()
        run = asyncio.create_task(consumer.run(stop))

        async def end() -> None:
            stop.set()
            _wake_idle_workers(redis_url)
            await run

        try:
            yield consumer, end
        finally:
            await end()


def _wake_idle_workers(redis_url: str) -> None:
    """End the wait of every blocked client, so that no test waits it out."""
    with contextlib.suppress(RedisError), Redis.from_url(redis_url, socket_timeout=1) as db:
        for client in db.client_list(_type="normal"):
            if "b" in client["flags"]:
                db.client_unblock(int(client["id"]))


# Hostile servers


@contextmanager
def _serving(handle: Callable[[socket.socket], None]) -> Iterator[str]:
    """A TCP server on 127.0.0.1 that gives each connection to ``handle``; its Redis URL."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                handle(self.request)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}/0"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def silent_server() -> Iterator[str]:
    """Accepts, reads, says nothing."""

    def handle(connection: socket.socket) -> None:
        while connection.recv(65_536):
            pass

    with _serving(handle) as url:
        yield url


@contextmanager
def saying(reply: str) -> Iterator[tuple[str, list[bytes]]]:
    """Answers whatever it is asked with that line; its URL, and what it was asked."""
    asked: list[bytes] = []

    def handle(connection: socket.socket) -> None:
        while question := connection.recv(65_536):
            asked.append(question)
            connection.sendall(f"{reply}\r\n".encode())

    with _serving(handle) as url:
        yield url, asked


@contextmanager
def losing_replies(redis_url: str, every: int) -> Iterator[str]:
    """A way to Redis on which each ``every``-th reply is lost: Redis has done the work, the connection breaks."""
    address = redis_url.removeprefix("redis://").removesuffix("/0").split(":")
    replies = 0

    def handle(connection: socket.socket) -> None:
        nonlocal replies
        with socket.create_connection((address[0], int(address[1]))) as upstream:
            while question := connection.recv(65_536):
                upstream.sendall(question)
                reply = upstream.recv(65_536)
                replies += 1
                if replies % every == 0:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                connection.sendall(reply)

    with _serving(handle) as url:
        yield url


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
