"""Where a fault happens: servers that write down every change, workers at them, and the way that callers take."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.kit import QUEUE, Server, eventually
from tests.faults.proxy import Proxy, proxy_to

#: The callers' user: its connections can be told from the workers', and it can be turned off.
USER = "router"
PASSWORD = "a-password-of-the-tests"
_LAST_SLOT = 16_383
_SHARDS = 3


@dataclass
class Site:
    """Servers, and what leads to them.

    Attributes:
        servers: all of them.
        main: the one that takes the queue's writes now.
        proxy: what callers (and in a full run workers) reach it through, if not directly.
        scheme: of the URL that leads there.
    """

    servers: list[Server]
    main: Server
    proxy: Proxy | None = None
    scheme: str = "redis"

    def url(self, *, login: bool, direct: bool = False) -> str:
        """The way to it; ``login`` as the callers' user, ``direct`` past the proxy."""
        port = self.main.port if self.proxy is None or direct else self.proxy.port
        return f"{self.scheme}://{f'{USER}:{PASSWORD}@' if login else ''}127.0.0.1:{port}/0"

    def link(self) -> Proxy:
        assert self.proxy is not None, "this site has no proxy"
        return self.proxy

    def replica(self) -> Server:
        """Of the main server."""
        role = self.main.db.role()
        ports = {int(replica[1]) for replica in role[2]}
        return next(server for server in self.servers if server.port in ports)

    def move_to(self, server: Server) -> None:
        """That one takes the writes from now on."""
        self.main = server
        if self.proxy is not None:
            self.proxy.target = ("127.0.0.1", server.port)

    def connections(self) -> int:
        """How many the callers have open, by the servers' own count."""
        return sum(client["user"] == USER for server in self.servers for client in server.db.client_list())

    def said(self, word: str) -> int:
        """How often the main server has answered with that error since it was started."""
        counted = self.main.db.info("errorstats").get(f"errorstat_{word}", {"count": 0})
        return int(counted["count"])

    def final_writes(self) -> dict[str, int]:
        """How often each job's final state was written, as the server knows that saw it most often."""
        each = [server.final_writes() for server in self.servers]
        return {job_id: max(writes[job_id] for writes in each) for job_id in set().union(*each)}


def _server(folder: Path, **options: str) -> Server:
    """Every change is on the disk before it is acknowledged; a replica need not wait for others to join it."""
    fixed = {"user": f"{USER} on >{PASSWORD} ~* &* +@all", "repl-diskless-sync-delay": "0"}
    return Server(folder, "always", **fixed | options)


@contextmanager
def one_server(folder: Path, **options: str) -> Iterator[Site]:
    """One, reached directly."""
    server = _server(folder / "valkey", **options)
    try:
        yield Site([server], server)
    finally:
        server.close()


@contextmanager
def one_server_behind_a_proxy(folder: Path, **options: str) -> Iterator[Site]:
    """One, at the end of a link that can be made bad."""
    with one_server(folder, **options) as site, proxy_to(site.main.url) as proxy:
        yield Site(site.servers, site.main, proxy)


@contextmanager
def primary_and_replica(folder: Path) -> Iterator[Site]:
    """Two, and a name (the proxy) that leads to the one that takes writes."""
    with ExitStack() as stack:
        servers = [_started(stack, folder / name) for name in ("primary", "replica")]
        primary, replica = servers
        replica.db.replicaof("127.0.0.1", primary.port)
        eventually(lambda: replica.db.info("replication")["master_link_status"] == "up", 20, "the replica is in step")
        yield Site(servers, primary, stack.enter_context(proxy_to(primary.url)))


@contextmanager
def six_node_cluster(folder: Path) -> Iterator[Site]:
    """Three primaries with a replica each; ``main`` is the one that has the queue."""
    with ExitStack() as stack:
        options = {"cluster-enabled": "yes", "cluster-node-timeout": "2000"}
        servers = [_started(stack, folder / f"node-{number}", **options) for number in range(2 * _SHARDS)]
        primaries, replicas = servers[:_SHARDS], servers[_SHARDS:]
        for server in servers[1:]:
            server.db.execute_command("CLUSTER MEET", "127.0.0.1", servers[0].port)
        bounds = [place * (_LAST_SLOT + 1) // _SHARDS for place in range(_SHARDS + 1)]
        for primary, first, after in zip(primaries, bounds, bounds[1:], strict=False):
            primary.db.execute_command("CLUSTER ADDSLOTSRANGE", first, after - 1)
        eventually(lambda: all(_state(server)["cluster_known_nodes"] == "6" for server in servers), 20, "all have met")
        for primary, replica in zip(primaries, replicas, strict=True):
            replica.db.execute_command("CLUSTER REPLICATE", primary.db.execute_command("CLUSTER MYID"))
        eventually(lambda: all(is_in_step(server) for server in replicas), 20, "the replicas are in step")
        eventually(lambda: all(_state(server)["cluster_state"] == "ok" for server in servers), 20, "the cluster is up")
        slot = servers[0].db.execute_command("CLUSTER KEYSLOT", QUEUE.flow)
        main = next(server for server, after in zip(primaries, bounds[1:], strict=False) if slot < after)
        yield Site(servers, main, scheme="redis+cluster")


def is_in_step(server: Server) -> bool:
    """A replica whose link to its primary is up."""
    facts = server.db.info("replication")
    return bool(facts["role"] == "slave" and facts["master_link_status"] == "up")


def _started(stack: ExitStack, folder: Path, **options: str) -> Server:
    server = _server(folder, **options)
    stack.callback(server.close)
    return server


def _state(server: Server) -> dict[str, Any]:
    facts = server.db.execute_command("CLUSTER INFO")
    return facts if isinstance(facts, dict) else dict(line.split(":") for line in facts.split() if ":" in line)
