"""Both sides of the queue, with the URLs and the authority that an instance has published."""

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import redis

from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.redis_client import RedisClient, connect
from tests.box.first_boot.conftest import Home
from tests.contract.repository import ROOT
from tests.patience import eventually
from tests.protocol.conftest import QUEUE, Callers
from tests.wide import WIDE


def router(home: Home) -> Callers:
    """The function's side, with the function's URL and the authority."""
    return Callers(JobQueue(RedisClient(partial(connect, home.url("redis-url"), 5.0), 10.0), WIDE, [QUEUE.queue]))


@contextmanager
def worker(home: Home) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker's process with the workers' URL and the authority."""
    command = [sys.executable, "-m", "lambda_router_worker", "--handler", "lambda_router_worker.demo:answer"]
    environ = {**os.environ, "REDIS_URL": home.url("worker-redis-url")}  # noqa: TID251
    process = subprocess.Popen([*command, "--queue", QUEUE.queue], cwd=ROOT, env=environ, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def as_user(home: Home, name: str) -> "redis.Redis[str]":
    return redis.Redis.from_url(home.url(name), decode_responses=True)


def processed(home: Home, prompt: str) -> str:
    """Submit a job and have a worker process it; its text."""
    callers = router(home)
    return processed_by_a_worker(home, callers.send_one(input={"prompt": prompt}))


def processed_by_a_worker(home: Home, job_id: str) -> str:
    callers = router(home)
    with worker(home):
        assert eventually(lambda: callers.look(job_id).status == "completed", 60)
    return str(callers.look(job_id).result["text"])


def certificate_serial(home: Home) -> str:
    """Of the certificate that the server presents, which the published authority vouches for."""
    context = ssl.create_default_context(cadata=home.parameter("redis-authority")["Value"])
    with (
        socket.create_connection((home.address, home.port), 10) as plain,
        context.wrap_socket(plain, server_hostname=home.address) as secure,
    ):
        return str((secure.getpeercert() or {})["serialNumber"])
