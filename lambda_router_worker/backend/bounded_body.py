"""A response body, decompressed without ever holding more of it than the caller asked for."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import httpx

from lambda_router_worker.backend.server_errors import invalid_answer
from lambda_router_worker.outcomes import JobFailed

#: Maximum size of one response after decompression. A stream spends 200 to 400 bytes on a token, so this is enough for
#: over 100,000 tokens.
MAX_BODY_BYTES = 64 * 1024 * 1024

#: Maximum number of bytes held at once: one event, one JSON document, or the assembled text. A result of 4 MiB can be
#: three times as large if the server escapes all non-ASCII characters.
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024

#: Output of one decompression step. A network chunk has up to 64 KiB, from which gzip can produce 64 MiB of zeros.
_PIECE_BYTES = 64 * 1024

#: zlib's ``wbits`` for each encoding; "deflate" means zlib's format (RFC 9110 section 8.4.1.2).
_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


def too_large() -> JobFailed:
    return JobFailed("result_too_large", "The model server's response is too large.")


async def pieces(response: httpx.Response) -> AsyncGenerator[bytes]:
    """Yield the body piece by piece. httpx itself would decompress each chunk as a whole.

    Raises:
        JobFailed: the body is too large, has an unexpected encoding, or does not match its encoding.
    """
    left = MAX_BODY_BYTES
    async with aclosing(_decompressed(response)) as body:
        async for piece in body:
            left -= len(piece)
            if left < 0:
                raise too_large()
            yield piece


async def beginning(response: httpx.Response, most: int) -> bytes:
    """Return at most the first ``most`` bytes of the body, and read no further."""
    held = bytearray()
    async with aclosing(pieces(response)) as body:
        async for piece in body:
            held += piece
            if len(held) >= most:
                break
    return bytes(held[:most])


async def _decompressed(response: httpx.Response) -> AsyncGenerator[bytes]:
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        async for chunk in response.aiter_raw():
            yield chunk
        return
    if encoding not in _WINDOW_BITS:  # the request accepts only identity
        raise invalid_answer()
    decompressor = zlib.decompressobj(_WINDOW_BITS[encoding])
    async for chunk in response.aiter_raw():
        for piece in _inflated(decompressor, chunk):
            yield piece
            await asyncio.sleep(0)  # a small chunk may inflate to a lot; let leases be renewed meanwhile


def _inflated(decompressor: "zlib._Decompress", chunk: bytes) -> Iterator[bytes]:
    try:
        while not decompressor.eof:
            piece = decompressor.decompress(chunk, _PIECE_BYTES)
            chunk = decompressor.unconsumed_tail
            yield piece
            if not chunk and len(piece) < _PIECE_BYTES:
                break
    except zlib.error as error:
        raise invalid_answer() from error
