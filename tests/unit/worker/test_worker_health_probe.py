"""lambda_router_worker.operations.health_probe: alive while it answers; ready while Redis does and jobs are taken."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from lambda_router_worker.operations import health_probe
from lambda_router_worker.operations.health_probe import SILENCE_SECONDS
from lambda_router_worker.operations.http_pages import CLIENT_SECONDS, MOST_CLIENTS
from lambda_router_worker.queue.eviction import Seen

READY = b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Closed:
    """A gate, as the probe sees it."""

    reason: str = ""


@dataclass
class Worker:
    """What the probe looks at."""

    silent_seconds: float = 0.0
    running: int = 0
    gate: Closed = field(default_factory=Closed)
    memory: Seen = field(default_factory=Seen)


async def exchange(worker: Worker, question: bytes) -> bytes:
    """What a client that says that is answered."""
    server: Any = await health_probe.serve(worker, worker.memory, 0, "127.0.0.1")  # type: ignore[arg-type]
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(question)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return answer


def asked(
    worker: Worker, question: bytes = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
) -> tuple[str, dict[str, str], Any]:
    """Status line, headers and body."""
    head, _, body = asyncio.run(exchange(worker, question)).partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ") for line in lines)
    assert int(headers["Content-Length"]) == len(body)
    return status, headers, json.loads(body)


@pytest.mark.parametrize("silent", [0.0, 1.0, SILENCE_SECONDS - 0.001])
def test_a_worker_that_hears_from_redis_is_ready(silent: float):
    status, headers, body = asked(Worker(silent, running=3), READY)
    assert status == "HTTP/1.1 200 OK"
    assert headers["Content-Type"] == "application/json"
    assert headers["Connection"] == "close"
    assert body == {"status": "ready", "running": 3}


@pytest.mark.parametrize("silent", [SILENCE_SECONDS, SILENCE_SECONDS + 1, 1e9])
def test_a_worker_whose_redis_is_silent_is_not_ready(silent: float):
    status, _, body = asked(Worker(silent, running=1), READY)
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert (body["status"], body["running"]) == ("not ready", 1)
    assert "Redis" in body["reason"]


def test_a_worker_whose_gate_is_closed_is_not_ready_and_says_why():
    status, _, body = asked(Worker(gate=Closed("status 401")), READY)
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert body["reason"] == "status 401"


def test_a_worker_whose_redis_may_lose_jobs_is_not_ready():
    status, _, body = asked(Worker(memory=Seen("maxmemory-policy is allkeys-lru")), READY)
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert "allkeys-lru" in body["reason"]


def test_a_worker_is_alive_whatever_its_peers_do():
    """So that nobody restarts it for their fault."""
    status, _, body = asked(Worker(1e9, running=2, gate=Closed("status 401")))
    assert (status, body) == ("HTTP/1.1 200 OK", {"status": "ok", "running": 2})


@pytest.mark.parametrize(
    "question",
    [b"HEAD / HTTP/1.0\r\n\r\n", b"GET /anything HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n", b"\r\n\r\n"],
    ids=["HEAD", "another path", "bare"],
)
def test_any_request_is_answered(question: bytes):
    assert asked(Worker(), question)[0] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    "question",
    [b"", b"GET /health", b"\x16\x03\x01\x02\x00", b"x" * 200_000],
    ids=["nothing", "half", "TLS", "endless"],
)
def test_what_is_no_request_gets_no_answer_and_does_no_harm(question: bytes):
    async def scenario() -> bytes:
        try:
            return await exchange(Worker(), question)
        except ConnectionError:
            return b""

    assert asyncio.run(scenario()) == b""
    assert asked(Worker())[0] == "HTTP/1.1 200 OK"


def test_clients_that_send_nothing_use_up_no_files_and_keep_nobody_out():
    """A worker at its limit of open files could not connect to Redis again."""

    async def scenario() -> tuple[int, bytes]:
        worker: Any = Worker()
        server = await health_probe.serve(worker, worker.memory, 0, "127.0.0.1")
        async with server, asyncio.timeout(CLIENT_SECONDS - 1):
            port = server.sockets[0].getsockname()[1]
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * MOST_CLIENTS)]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(READY)
            answer = await reader.read()
            held = sum(not each.at_eof() and each.exception() is None for each, _ in silent)
            for _, its in [*silent, (reader, writer)]:
                its.transport.abort()
            return held, answer

    held, answer = asyncio.run(scenario())

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert held <= MOST_CLIENTS
