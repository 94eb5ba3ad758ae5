"""``lambda-router proxy`` as a process, in front of servers that the test scripts."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from lambda_router import servers, store
from lambda_router.servers import Server, ServerList
from lambda_router.store import Credentials
from tests.client.conftest import NO_KEYRING
from tests.contract.repository import ROOT
from tests.model_servers import Call, ModelServer, model_server
from tests.patience import eventually

FAR_FUTURE = 4e9
LISTING = {"object": "list", "data": [{"id": "tiny", "object": "model", "created": 0, "owned_by": "x"}]}


@dataclass
class Proxied:
    """A running proxy.

    Attributes:
        said: its lines on standard error.
        upstreams: the scripted servers by name; ``script`` may be replaced.
    """

    process: "subprocess.Popen[str]"
    home: Path
    upstreams: dict[str, ModelServer] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        return self._line(r"Base URL: (\S+)")

    @property
    def key(self) -> str:
        return self._line(r"Key: (sk-\S+)")

    @property
    def port(self) -> int:
        found = httpx.URL(self.base_url).port
        assert found is not None
        return found

    @property
    def root(self) -> str:
        return self.base_url.removesuffix("/v1")

    def _line(self, pattern: str) -> str:
        def look() -> str | None:
            found = re.search(pattern, "".join(self.said))
            return found[1] if found else None

        found = eventually(look, 30)
        assert found, (self.process.poll(), self.said)
        return str(found)

    def tool(self, **headers: str) -> httpx.Client:
        """A tool that has the key."""
        headers = {"Authorization": f"Bearer {self.key}"} | headers
        return httpx.Client(base_url=self.root, headers=headers, timeout=20, trust_env=False)

    def connect(self, *lines: str, body: bytes = b"") -> socket.socket:
        """A connection on which a request was sent as it stands here."""
        connection = socket.create_connection(("127.0.0.1", self.port), 10)
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return connection

    def raw(self, *lines: str, body: bytes = b"") -> bytes:
        """The beginning of the answer to a request that is sent as it stands here, with the whole head."""
        with self.connect(*lines, body=body) as connection:
            answer = b""
            while b"\r\n\r\n" not in answer and (piece := connection.recv(65_536)):
                answer += piece
        return answer

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(20)


def answers_all(call: Call) -> None:
    """A server that has one model, and answers everything else with what it was sent."""
    if call.path == "/v1/models":
        call.answer(200, LISTING)
    else:
        call.answer(200, call.body or b"{}")


def environment(home: Path) -> dict[str, str]:
    """The environment of a command in that home, without a keyring."""
    environ = os.environ  # noqa: TID251  for a child
    kept = {name: value for name, value in environ.items() if not name.startswith("LAMBDA_ROUTER_")}
    path = f"{ROOT / 'client'}"
    return kept | {"LAMBDA_ROUTER_HOME": str(home), "PYTHON_KEYRING_BACKEND": NO_KEYRING, "PYTHONPATH": path}


def log_in(home: Path, urls: dict[str, str]) -> None:
    """Write what logins leave, the first as the default."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMBDA_ROUTER_HOME", str(home))
        known = ServerList()
        for name, url in urls.items():
            issuer = "http://127.0.0.1:9/pool"  # nobody is there: these tokens need no renewal
            known = known.with_server(Server(name, url, issuer, "client", ("s",), f"{issuer}/token"))
            store.save(name, Credentials(f"token-of-{name}", 1.0, FAR_FUTURE, "refresh"), lambda _: None)
        servers.save(known)


@contextmanager
def starting(home: Path, *options: str) -> Iterator[Proxied]:
    """A proxy, ended at last."""
    command = [sys.executable, "-m", "lambda_router", "proxy", *options]
    home.parent.mkdir(exist_ok=True)
    process = subprocess.Popen(command, cwd=ROOT, env=environment(home), stderr=subprocess.PIPE, text=True)
    proxied = Proxied(process, home)

    def follow() -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            proxied.said.extend(iter(lines.readline, ""))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield proxied
    finally:
        process.terminate()
        process.wait(20)
        thread.join(5)


@contextmanager
def proxy_for(
    home: Path, names: Sequence[str] = ("alpha",), script: Callable[[Call], None] = answers_all, *options: str
) -> Iterator[Proxied]:
    """A proxy for scripted servers of those names."""
    with ExitStack() as stack:
        upstreams = {name: stack.enter_context(model_server(script)) for name in names}
        log_in(home, {name: each.base_url.removesuffix("/v1") for name, each in upstreams.items()})
        proxied = stack.enter_context(starting(home, "--port", "0", *options))
        proxied.upstreams = upstreams
        assert proxied.base_url
        yield proxied
