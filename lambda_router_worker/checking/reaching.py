"""Checks on the way to Redis: its URL, its host's name, its port."""

import asyncio
import socket
import time

import click

from lambda_router_queue.redis.url import RedisAddress, without_cluster
from lambda_router_worker.checking.box import Box
from lambda_router_worker.checking.findings import Finding, trouble, well, wrong
from lambda_router_worker.checking.first_reply import opened
from lambda_router_worker.cli_options import checked_url

_WHY = "the worker cannot reach its queue"


async def redis_url(box: Box) -> Finding:
    """Check that there is one URL, and that it can be read."""
    try:
        box.url = checked_url(box.options["redis_url"], box.options["redis_url_file"])
    except click.UsageError as error:
        fix = "export REDIS_URL=rediss://user:password@host:6379/0, or --redis-url-file FILE"
        if box.options["redis_url"] and box.options["redis_url_file"]:
            fix = "unset REDIS_URL; or leave out --redis-url-file, and unset WORKER_REDIS_URL_FILE"
        return wrong(error.message.rstrip("."), why="the worker would refuse to start", fix=fix)
    plain, box.is_cluster = without_cluster(box.url)
    box.address = RedisAddress.of(plain)
    kind = "a cluster" if box.is_cluster else "one server"
    return well(f"{kind}, {'with TLS' if box.address.tls else 'without TLS'}")


async def name(box: Box) -> Finding:
    """Check that the name of the host leads to an address."""
    host, port = box.address.host, box.address.port
    try:
        found = await asyncio.get_running_loop().run_in_executor(None, box.resolve, host, port)
    except (socket.gaierror, UnicodeError):
        fix = f"correct the host in REDIS_URL, or this machine's DNS: getent hosts {host}"
        return wrong(f"{host} is not known here", why=_WHY, fix=fix)
    box.ips = list(dict.fromkeys(str(address[4][0]) for address in found))
    return well(f"{host} is {', '.join(box.ips)}" if box.ips != [host] else f"{host} is an address")


async def port(box: Box) -> Finding:
    """Check that one of the addresses accepts a connection."""
    failures: list[Finding] = []
    for ip in box.ips:
        began = time.monotonic()
        try:
            async with opened(ip, box.address.port, box.step_seconds / len(box.ips)):
                box.ip = ip
        except OSError as error:  # a TimeoutError is one
            failures.append(trouble(error, box.where(ip), _WHY))
            continue
        others = "".join(f"; {failure.found}" for failure in failures)
        return well(f"{box.where(ip)} accepted in {(time.monotonic() - began) * 1000:.1f} ms{others}")
    return failures[-1]
