"""Responses whose body is sent in pieces, where the environment can do that.

Lambda's own Python runtime sends a body whole. The streaming function's loop and ``make run`` send pieces as they come;
they say so by ``streams_responses`` on the context that they hand to the app.
"""

from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any, Protocol

from chalice.app import Request, Response

from chalicelib.errors import InternalError, Problem
from chalicelib.observability import log, notes


class Pieces(Protocol):
    """A body in pieces. Its sender calls ``close`` at the end, even if it took no piece.

    An empty piece is not sent. One comes every second while there is nothing to send, so that the sender can find out
    that the client is gone or the time is up. After an exception the body is incomplete, and clients can see that.
    """

    def __iter__(self) -> Iterator[bytes]: ...

    def __next__(self) -> bytes: ...

    def close(self) -> None: ...


class StreamedResponse(Response):
    """A response whose ``body`` is of type ``Pieces``. Only for a request for which ``can_stream`` is true."""

    body: Pieces

    def to_dict(self, binary_types: list[str] | None = None) -> dict[str, Any]:  # noqa: ARG002 (Chalice's signature)
        """Return what Lambda's entry point returns, with the pieces as the body: Chalice would turn them into JSON."""
        single, multiple = self._sort_headers(self.headers)
        return {"headers": single, "multiValueHeaders": multiple, "statusCode": self.status_code, "body": self.body}


def can_stream(request: Request) -> bool:
    """Return whether the body of a response to this request may be sent piece by piece."""
    return bool(getattr(request.lambda_context, "streams_responses", False))


class LoggedPieces:
    """Pieces whose request is logged once, at their end: when they are used up, fail or are closed.

    They may be sent in another thread, or after other requests. So they run in the context of the request that they
    answer, with its notes and metrics.

    Args:
        log_it: writes the request's log line and metrics.
    """

    def __init__(self, pieces: Pieces, log_it: Callable[[], None]) -> None:
        self._pieces: Pieces | None = pieces
        self._log_it: Callable[[], None] | None = log_it
        self._context = copy_context()

    def __iter__(self) -> "LoggedPieces":
        return self

    def __next__(self) -> bytes:
        if self._pieces is None:
            raise StopIteration
        try:
            return self._context.run(next, self._pieces)
        except StopIteration:
            self._log_once()
            raise
        except Exception as error:
            self._context.run(_note, error)
            self._log_once()
            raise

    def close(self) -> None:
        """Close the pieces, which may release what they hold, and forget them. Never raises an Exception."""
        pieces, self._pieces = self._pieces, None
        try:
            if pieces is not None:
                self._context.run(pieces.close)
        except Exception as error:
            self._context.run(_note, error)
        finally:
            self._log_once()

    def _log_once(self) -> None:
        log_it, self._log_it = self._log_it, None  # it holds the response, and so this object
        if log_it is not None:
            self._context.run(log_it)


def _note(error: Exception) -> None:
    """Name an error in the request's log line, whose status was sent before; log one that nobody foresaw by itself."""
    if isinstance(error, Problem):
        notes().problem = error.slug()
    else:
        log.error("unforeseen", exc_info=error)
        notes().problem = InternalError.slug()
