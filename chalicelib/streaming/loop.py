"""The loop of the streaming function: take an event, call the app, send its response as it comes."""

import base64
import json
from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping
from http import HTTPStatus
from itertools import chain
from typing import Any, NoReturn

from chalicelib.api.streamed import Pieces
from chalicelib.observability import log
from chalicelib.streaming.invocation import Context, Invocation
from chalicelib.streaming.runtime_api import Failure, ResponseNotTaken, RuntimeApi
from lambda_router_queue import traces

type Handler = Callable[[Any, Context], Mapping[str, Any]]

#: Between the metadata and the body (API Gateway Developer Guide, "Lambda proxy integration with payload response
#: streaming"). The metadata is JSON, which contains no NUL.
DELIMITER = b"\0" * 8
#: A body ends this long before Lambda would stop the process, so that there is time to say that it is not complete.
RESERVE_SECONDS = 0.5

_TRACE = "_X_AMZN_TRACE_ID"
_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class OutOfTime(Exception):
    """The invocation's time ends before the body does."""


def serve(api: RuntimeApi, handler: Handler, environ: MutableMapping[str, str]) -> NoReturn:
    """Handle one event after the other.

    Args:
        environ: Lambda's variables. Each event's trace is written into it, where libraries look for it.

    Raises:
        RuntimeApiFailed: there will be no more events.
    """
    while True:
        serve_one(api, handler, environ)


def serve_one(api: RuntimeApi, handler: Handler, environ: MutableMapping[str, str]) -> None:
    """Wait for an event and handle it. Raises RuntimeApiFailed."""
    invocation = api.next()
    if invocation.trace:
        environ[_TRACE] = invocation.trace
    else:
        environ.pop(_TRACE, None)
    try:
        _handle(api, handler, invocation, environ)
    except ResponseNotTaken as error:
        log.warning("response_not_taken", extra={"explanation": str(error)})


def _handle(api: RuntimeApi, handler: Handler, invocation: Invocation, environ: Mapping[str, str]) -> None:
    try:
        event = json.loads(invocation.event)
        answer = handler(event, Context(invocation, environ))
        pieces = _pieces(answer["body"], answer.get("isBase64Encoded", False))
    except Exception as error:
        api.report(invocation, _failure(error))
        return
    try:
        _send(api, invocation, answer, iter(()) if _is_bodiless(event, answer) else pieces)
    finally:
        _close(pieces)


def _send(api: RuntimeApi, invocation: Invocation, answer: Mapping[str, Any], pieces: Iterator[bytes]) -> None:
    """Send a response. It begins once its first piece is there, since until then it can still become an error."""
    try:
        metadata = json.dumps({name: answer[name] for name in ("statusCode", "headers", "multiValueHeaders")}).encode()
        first = next(pieces, b"")
    except Exception as error:
        api.report(invocation, _failure(error))
        return
    with api.response(invocation) as stream:
        try:
            for piece in chain((metadata + DELIMITER, first), _in_time(pieces, invocation)):
                stream.write(piece)
        except ResponseNotTaken:
            raise
        except Exception as error:
            stream.fail(_failure(error))
        else:
            stream.end()


def _in_time(pieces: Iterator[bytes], invocation: Invocation) -> Iterator[bytes]:
    """Yield the pieces. Raises OutOfTime."""
    for piece in pieces:
        if invocation.seconds_left() < RESERVE_SECONDS:
            raise OutOfTime
        yield piece


def _is_bodiless(event: Any, answer: Mapping[str, Any]) -> bool:
    is_head = isinstance(event, dict) and event.get("httpMethod") == "HEAD"
    return is_head or answer.get("statusCode") in _BODILESS


def _pieces(body: str | bytes | Pieces, is_encoded: bool) -> Pieces:
    return _whole(body, is_encoded) if isinstance(body, str | bytes) else body


def _whole(body: str | bytes, is_encoded: bool) -> Generator[bytes]:
    """Yield a body that is there as a whole."""
    raw = body.encode() if isinstance(body, str) else body
    yield base64.b64decode(raw) if is_encoded else raw


def _close(pieces: Pieces) -> None:
    try:
        pieces.close()
    except Exception:
        log.exception("unforeseen")


def _failure(error: Exception) -> Failure:
    """Log that a response is not sent, or not whole, and return the report. The error's message may quote a caller."""
    log.warning("response_failed", exc_info=error)
    places = traces.facts(error)["exception"].splitlines()
    return Failure.of("Function", error, "The log of the function says more.", tuple(places))
