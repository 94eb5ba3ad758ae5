"""What the tests of streams share: an environment that can stream, and live output without a worker."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from chalicelib import wiring
from chalicelib.jobs.job_records import Record
from chalicelib.jobs.live_output import Emitted, Read
from chalicelib.wiring import Services
from tests.conftest import LambdaContext, Reply

type Step = Emitted | Record | Callable[[], None] | None


@dataclass
class StreamingContext(LambdaContext):
    """The context of an environment that sends a body piece by piece."""

    streams_responses: bool = True
    remaining_ms: int = 900_000


class Script:
    """Live output as a test writes it: entries, None for silence, and calls of what happens meanwhile.

    The final record follows, as it does in truth. Without ``is_final`` the output just ends.
    """

    def __init__(self, services: Services, steps: Iterable[Any], *, is_final: bool = True) -> None:
        self._services = services
        self._steps = [*steps]
        self._is_final = is_final
        self.followed: list[tuple[str, str]] = []

    def follow(self, owner: str, job_id: str, after: str, ends: float) -> Iterator[Any]:
        self.followed.append((job_id, after))
        for step in self._steps:
            if isinstance(step, Exception):
                raise step
            if callable(step):
                step()
            else:
                yield step
        if self._is_final:
            yield self._services.queue.record(owner, job_id, "peek")

    def close(self) -> None:
        """There is nothing to close."""

    def read(self, *_: Any) -> Read:
        return Read([step for step in self._steps if isinstance(step, Emitted)], "", is_over=False)


def emitted(*deltas: Any) -> list[Emitted]:
    """Entries of one attempt. None is the mark of another one."""
    return [Emitted(f"1-{number}", delta) for number, delta in enumerate(deltas, 1)]


@contextmanager
def live(services: Services, steps: Iterable[Any], **options: Any) -> Iterator[Script]:
    """Give all readers this live output inside the ``with`` block."""
    script = Script(services, steps, **options)
    with wiring.use(services._replace(live=script)):
        yield script


def pieces(reply: Reply) -> list[str]:
    """Read what a streamed body sends to its end, and close it, as its sender does."""
    body: Any = reply.body
    try:
        return [piece.decode() for piece in body if piece]
    finally:
        body.close()


def events(reply: Reply) -> list[dict[str, Any]]:
    """Events of a stream that came to its end, each with the name that its line ``event`` has."""
    assert reply.status == 200, reply.body
    *sent, done = pieces(reply)
    assert done == "data: [DONE]\n\n"
    return [event_in(piece) for piece in sent]


def broken_off(reply: Reply) -> list[dict[str, Any]]:
    """Events of a stream that came to no end."""
    sent = pieces(reply)
    assert "data: [DONE]\n\n" not in sent
    return [event_in(piece) for piece in sent]


def event_in(piece: str) -> dict[str, Any]:
    *names, data, nothing, end = piece.split("\n")
    found: dict[str, Any] = json.loads(data.removeprefix("data: "))
    assert names == ([f"event: {found['type']}"] if "type" in found else [])
    assert nothing == end == ""
    return found


def types(found: Iterable[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in found]
