"""Bodies in pieces on their way to a client: a thread computes them, and the event loop sends them."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import CancelledError
from contextlib import closing
from http import HTTPStatus
from itertools import chain
from typing import Any

from chalicelib.api.streamed import Pieces
from tools.local.problems import Answer, Headers, problem_answer

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]

BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
#: How often a thread that waits for a slow client looks whether the client, or the server, is still there.
_LOOK_SECONDS = 0.5


class ClientGone(Exception):
    """The client disconnected, or the server stops."""


class _Broken(Exception):
    """The pieces have raised. The app's middleware has logged that."""


def head(status: int, headers: Headers) -> Message:
    """Return the message that begins a response."""
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return {"type": "http.response.start", "status": status, "headers": encoded}


class Delivery:
    """The response to one request, as far as it comes in pieces. To be made in the event loop.

    A piece is computed once the one before it was sent, so a slow client slows its stream down and fills no memory.

    Attributes:
        is_wanted: set to False, it ends the stream after the next piece.
        is_over: set once the pieces are closed.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self.is_wanted = True
        self.is_over = threading.Event()

    async def watch(self, receive: Receive) -> None:
        """Wait until the client is gone. Its request must have been read before."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self.is_wanted = False

    def run(self, answer: Answer, pieces: Pieces, method: str) -> Answer | None:
        """Send a response, in a thread of its own. Return another one to send instead if its first piece fails.

        A later failure leaves out the end of the body. Then the server cuts the connection, so clients can see that the
        body is not complete.
        """
        try:
            with closing(pieces):
                return self._deliver(answer, iter(()) if _is_bodiless(answer, method) else _checked(pieces))
        except (ClientGone, _Broken):
            return None
        finally:
            self.is_over.set()

    def _deliver(self, answer: Answer, pieces: Iterator[bytes]) -> Answer | None:
        try:
            first = next(pieces, b"")
        except _Broken:
            return problem_answer(HTTPStatus.INTERNAL_SERVER_ERROR)
        self._hand_over(head(answer.status, answer.headers))
        for piece in chain([first], pieces):
            self._require_client()
            if piece:
                self._hand_over({"type": "http.response.body", "body": piece, "more_body": True})
        self._hand_over({"type": "http.response.body", "body": b""})
        return None

    def _hand_over(self, message: Message) -> None:
        self._require_client()
        sent = asyncio.run_coroutine_threadsafe(_awaited(self._send(message)), self._loop)
        while True:
            try:
                return sent.result(_LOOK_SECONDS)
            except TimeoutError:
                self._require_client()
            except CancelledError:
                raise ClientGone from None

    def _require_client(self) -> None:
        if not self.is_wanted:
            raise ClientGone


def _checked(pieces: Pieces) -> Iterator[bytes]:
    try:
        yield from pieces
    except Exception as error:
        raise _Broken from error


def _is_bodiless(answer: Answer, method: str) -> bool:
    return method == "HEAD" or answer.status in BODILESS


async def _awaited(sending: Awaitable[None]) -> None:
    await sending
