"""A way to a real Redis on which one answer is a lie, is late, or gets lost."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from lambda_router_queue.redis.wire import NOT_WHOLE, Replies
from tests.integration.backend.hostile_servers import serving

#: Given a command's words, the bytes to answer instead of Redis's reply; None to pass it on.
type Lie = Callable[[Sequence[str]], bytes | None]


class Dropped(Exception):
    """The connection breaks here."""


@contextmanager
def lying(redis_url: str, lie: Lie) -> Iterator[str]:
    """The URL of that way."""
    parts = urlsplit(redis_url)

    def handle(near: socket.socket) -> None:
        with socket.create_connection((parts.hostname or "", parts.port or 0)) as far:
            for raw, words in _messages(near):
                try:
                    told = lie(words)
                except Dropped:
                    return
                if told is None:
                    far.sendall(raw)
                    told, _ = next(_messages(far))
                near.sendall(told)

    with serving(handle) as url:
        login = f"{parts.username}:{parts.password}@" if parts.password else ""
        yield url.replace("://", f"://{login}")


def _messages(source: socket.socket) -> Iterator[tuple[bytes, Sequence[str]]]:
    """Each command or reply as it came, and parsed. Only one is on its way at a time."""
    while True:
        replies, raw = Replies(errors="replace"), b""
        said = NOT_WHOLE
        while said is NOT_WHOLE:
            data = source.recv(65_536)
            if not data:
                return
            raw += data
            replies.feed(data)
            said = replies.take()
        yield raw, said if isinstance(said, list) else []
