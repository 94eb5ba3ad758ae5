"""A model server's answer, read as it comes: server-sent events, or plain JSON from a server that does not stream."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any

import httpx
from pydantic import JsonValue

from lambda_router_worker.backend.bounded_body import MAX_DOCUMENT_BYTES, beginning, pieces, too_large
from lambda_router_worker.backend.chat_completion import Completion
from lambda_router_worker.backend.event_stream import Event, EventReader
from lambda_router_worker.backend.server_errors import connection_lost, failure, invalid_answer, status_of, web_page
from lambda_router_worker.outcomes import JobFailed

_BOM = b"\xef\xbb\xbf"
_END = "[DONE]"
#: The connection can be used again once its answer was read to the end, which some servers never send.
_DRAIN_SECONDS = 1.0
_ERROR_BYTES = 64 * 1024
_ERROR_SECONDS = 5.0


async def read_completion(response: httpx.Response, heard: Callable[[], None], secret: str | None) -> JsonValue:
    """The job's result.

    Args:
        heard: called whenever the model has said something.
        secret: the API key, which the caller must not read in an error.

    Raises:
        JobFailed, TryAgain: an error in the answer, or something that is no chat completion, or too much of it.
        ServerTrouble: the same, where it may be the server's fault.
        httpx.TransportError: the connection broke before the model had come to an end.
    """
    completion = Completion()
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
    return completion.result()


def parsed(text: str | bytes) -> Any:
    """A JSON document. What is no UTF-8 becomes U+FFFD; NaN is let pass, since figures that nobody reads hold some.

    Raises:
        JobFailed: it is no JSON.
    """
    try:
        return json.loads(text if isinstance(text, str) else text.removeprefix(_BOM).decode(errors="replace"))
    except (ValueError, RecursionError) as error:
        raise invalid_answer() from error


async def error_document(response: httpx.Response) -> Any:
    """The body of an error, parsed; None where it is no JSON or does not come whole. Nobody reads more of it."""
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
    """Each JSON document of the answer. Which kind it is shows in its first byte, whatever its content type says."""
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
    """Nothing in the answer tells its end from a connection that broke (RFC 9112 section 6.3)."""
    bounds = {"content-length", "transfer-encoding"}
    return response.status_code != 204 and not bounds & set(response.headers)
