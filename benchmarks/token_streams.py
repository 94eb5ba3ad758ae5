"""Streams of tokens: a model server that sends them at a set pace, and a client that notes when they come.

``python -m benchmarks.token_streams PORT`` is the model server. The last message is the pace, in tokens per second;
``max_tokens`` is their number. A token has four characters. The first one comes at once, and each other one at its own
time, so that a late one delays none.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, NamedTuple

MODEL = "paced"
TOKEN = "abc "


class Target(NamedTuple):
    """What to call, and how: ``chat`` tells OpenAI's chat completions from its responses."""

    port: int
    path: str
    key: str
    model: str

    def body(self, pace: float, tokens: int) -> bytes:
        """Return a request for so many tokens."""
        text = str(pace)
        asked: dict[str, Any] = {"model": self.model, "stream": True}
        if self.path.endswith("completions"):
            asked |= {"messages": [{"role": "user", "content": text}], "max_tokens": tokens}
        else:
            asked |= {"input": text, "max_output_tokens": max(16, tokens)}
        return json.dumps(asked).encode()


class Stream(NamedTuple):
    """One stream: seconds from the request to the first and to the last text, and the characters of it."""

    first: float
    last: float
    characters: int


async def read_stream(target: Target, pace: float, tokens: int) -> Stream:
    """Send a request and read its stream to the end. Raises RuntimeError if that is not a whole stream."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    try:
        writer.write(_request(target, target.body(pace, tokens)))
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{target.path}: {head.decode()}{(await reader.read(2_000)).decode(errors='replace')}")
        first = last = 0.0
        characters, data = 0, ""
        async for data in _data(reader):
            if length := len(_text(data)):
                last = time.perf_counter() - began
                first, characters = first or last, characters + length
    finally:
        writer.close()
    if data != "[DONE]":
        raise RuntimeError(f"{target.path}: the stream ended with {data}")
    return Stream(first, last, characters)


def _request(target: Target, body: bytes) -> bytes:
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"Host: 127.0.0.1:{target.port}",
        "Accept: application/json",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"Authorization: Bearer {target.key}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _data(reader: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield the data of each event of a chunked body."""
    held = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        held += (await reader.readexactly(size + 2))[:-2]
        *events, held = held.split(b"\n\n")
        for event in events:
            for line in event.split(b"\n"):
                if line.startswith(b"data: "):
                    yield line[6:].decode()
            if event.endswith(b"[DONE]"):
                return


def _text(data: str) -> str:
    """Return the text of an event of either API."""
    if data == "[DONE]":
        return ""
    document = json.loads(data)
    if document.get("type") == "response.output_text.delta":
        return str(document["delta"])
    choices = document.get("choices")
    return str(choices[0]["delta"].get("content") or "") if choices else ""


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = head.partition("content-length:")[2].split("\r\n")[0].strip()
            body = await reader.readexactly(int(length or 0))
            if head.startswith("get"):
                _answer(writer, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
            else:
                await _stream(writer, json.loads(body))
    writer.close()


def _answer(writer: asyncio.StreamWriter, document: Any) -> None:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


async def _stream(writer: asyncio.StreamWriter, asked: dict[str, Any]) -> None:
    pace, count = float(asked["messages"][-1]["content"]), int(asked.get("max_tokens", 16))
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    token, loop = _event([{"index": 0, "delta": {"content": TOKEN}, "finish_reason": None}]), asyncio.get_running_loop()
    began = loop.time()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / pace - loop.time()))
        writer.write(token)
        await writer.drain()
    end = _event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    usage = {"prompt_tokens": 1, "completion_tokens": count, "total_tokens": count + 1}
    writer.write(end + _event([], usage=usage) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    await writer.drain()


def _event(choices: list[dict[str, Any]], **members: Any) -> bytes:
    document = {"object": "chat.completion.chunk", "model": MODEL, "choices": choices} | members
    return _chunk(b"data: " + json.dumps(document).encode() + b"\n\n")


def _chunk(raw: bytes) -> bytes:
    return f"{len(raw):x}\r\n".encode() + raw + b"\r\n"


async def _main(port: int) -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", port, backlog=1_024)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
