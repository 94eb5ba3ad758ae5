"""A model server's response, read as it arrives: server-sent events, or plain JSON if the server does not stream."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any

import httpx

from lambda_router_worker.backend.bounded_body import MAX_DOCUMENT_BYTES, beginning, pieces, too_large
from lambda_router_worker.backend.chat_completion import Completion
from lambda_router_worker.backend.event_stream import Event, EventReader
from lambda_router_worker.backend.server_errors import connection_lost, failure, invalid_answer, status_of, web_page
from lambda_router_worker.outcomes import JobFailed

_BOM = b"\xef\xbb\xbf"
_END = "[DONE]"
#: A connection can be reused only if its response was read to the end. Some servers never send the end.
_DRAIN_SECONDS = 1.0
_ERROR_BYTES = 64 * 1024
_ERROR_SECONDS = 5.0


async def read_completion(
    response: httpx.Response, completion: Completion, heard: Callable[[], None], secret: str | None
) -> Completion:
    """Read the response into the completion, and return it.

    Args:
        heard: called whenever the model has produced output.
        secret: the API key, which the caller must not see in an error.

    Raises:
        JobFailed, TryAgain: the response holds an error, is not a chat completion, or is too large.
        ServerTrouble: the same, if the server may be at fault.
        httpx.TransportError: the connection broke before the model had finished.
    """
    if response.headers.get("content-type", "").lower().startswith("text/html"):
        raise web_page()
    try:
        async with aclosing(_documents(response, completion)) as documents:
            async for document in documents:
                _raise_error(document, response, secret)
                completion.take(document)
                if completion.begun:
                    heard()
    except httpx.TransportError:
        if not completion.finished:
            raise
    completion.require_some()
    return completion


def parsed(text: str | bytes) -> Any:
    """Parse a JSON document. Invalid UTF-8 becomes U+FFFD. NaN is accepted, because some unused figures contain it.

    Raises:
        JobFailed: the text is not JSON.
    """
    try:
        return json.loads(text if isinstance(text, str) else text.removeprefix(_BOM).decode(errors="replace"))
    except (ValueError, RecursionError) as error:
        raise invalid_answer() from error


async def error_document(response: httpx.Response) -> Any:
    """Return the body of an error response, parsed; None if it is not JSON, too long, too slow or incomplete."""
    try:
        async with asyncio.timeout(_ERROR_SECONDS):
            return parsed(await beginning(response, _ERROR_BYTES))
    except (TimeoutError, JobFailed, httpx.TransportError):
        return None


def _raise_error(document: Any, response: httpx.Response, secret: str | None) -> None:
    status = status_of(document)
    if status is not None:
        raise failure(status, document, response.headers, secret)


async def _documents(response: httpx.Response, completion: Completion) -> AsyncGenerator[Any]:
    """Yield each JSON document of the response.

    The first byte tells plain JSON from events, whatever the content type says.
    """
    async with aclosing(pieces(response)) as body:
        start = b""
        async for piece in body:
            start = piece.removeprefix(_BOM).lstrip()
            if start:
                break
        if start.startswith((b"{", b"[")):
            yield parsed(await _all(start, body))
            return
        async with aclosing(_events(start, body)) as events:
            async for event in events:
                if event.data.strip() == _END:
                    await _drain(body)
                    return
                yield _document(event)
    if not completion.finished and _ends_with_the_connection(response):
        raise connection_lost()


async def _all(start: bytes, body: AsyncGenerator[bytes]) -> bytes:
    held = bytearray(start)
    async for piece in body:
        held += piece
        if len(held) > MAX_DOCUMENT_BYTES:
            raise too_large()
    return bytes(held)


async def _events(start: bytes, body: AsyncGenerator[bytes]) -> AsyncGenerator[Event]:
    reader = EventReader()
    for event in reader.feed(start):
        yield event
    async for piece in body:
        for event in reader.feed(piece):
            yield event
    for event in reader.end():
        yield event


async def _drain(body: AsyncGenerator[bytes]) -> None:
    with suppress(TimeoutError, httpx.TransportError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in body:
                pass


def _document(event: Event) -> Any:
    if event.name != "error":
        return parsed(event.data)
    try:
        error = parsed(event.data)
    except JobFailed:
        error = event.data
    return error if status_of(error) is not None else {"error": error}


def _ends_with_the_connection(response: httpx.Response) -> bool:
    """Return whether only a closed connection ends the response, as a broken one would (RFC 9112 section 6.3)."""
    bounds = {"content-length", "transfer-encoding"}
    return response.status_code != 204 and not bounds & set(response.headers)
