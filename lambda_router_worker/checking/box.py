"""The facts that the checks of one run share: the worker's options, and what earlier checks found."""

import socket
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_queue.redis.url import RedisAddress
from lambda_router_worker.backend.openai_backend import OpenAIBackend, Sample
from lambda_router_worker.queue.connection import Connection

#: Time limit of one step towards a server: looking up its name, connecting, TLS, logging in.
STEP_SECONDS = 5.0

type Resolve = Callable[[str, int], list[Any]]


def system_resolver(host: str, port: int) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


@dataclass
class Box:
    """A worker's options and what is known so far. A check reads only what the checks that it comes after have set.

    Attributes:
        options: the worker's options by name; ``redis_url`` and ``redis_url_file`` as they were given.
        open: closes at the end what the checks have opened.
        ips: the addresses of the host; ``ip`` is the one that accepted a connection.
        certificate: the server's, as ``ssl`` decodes it; empty without TLS, and if it was not verified.
        authorities: the certificates of ``ssl_ca_certs``; empty without one.
        redis: the worker's own connection.
        round_trip: the median in seconds.
    """

    options: Mapping[str, Any]
    open: AsyncExitStack
    resolve: Resolve = system_resolver
    step_seconds: float = STEP_SECONDS
    url: str = field(init=False, repr=False)
    address: RedisAddress = field(init=False)
    is_cluster: bool = field(init=False)
    ips: list[str] = field(init=False)
    ip: str = field(init=False)
    certificate: Mapping[str, Any] = field(init=False)
    authorities: list[dict[str, Any]] = field(init=False)
    redis: Connection = field(init=False)
    round_trip: float = 0.0
    backend: OpenAIBackend = field(init=False)
    listed: list[str] | None = None
    sample: Sample = field(init=False)

    @property
    def queue(self) -> str:
        return str(self.options["queue"])

    @property
    def keys(self) -> QueueKeys:
        return QueueKeys(self.queue)

    def where(self, ip: str) -> str:
        """Return the server's address with its port."""
        return f"[{ip}]:{self.address.port}" if ":" in ip else f"{ip}:{self.address.port}"
