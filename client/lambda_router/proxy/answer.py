"""One answer of the proxy on its way to the caller."""

from starlette.types import Receive, Send

from lambda_router.proxy.headers import RawHeaders
from lambda_router.proxy.refusals import Refused


class CallerGone(Exception):
    """The caller closed the connection."""


class Answer:
    """What is sent to the caller, piece by piece. One that ends without ``end`` breaks the connection off.

    Attributes:
        is_begun: whether status and headers are sent, so that nothing else can be said any more.
        extra: headers of every answer to this request.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.is_begun = False
        self.extra: RawHeaders = []

    async def begin(self, status: int, headers: RawHeaders) -> None:
        """Send status and headers."""
        self.is_begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, *self.extra]})

    async def piece(self, content: bytes) -> None:
        """Send some of the body. Waits while the caller does not read."""
        await self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def end(self) -> None:
        """Say that the body is complete."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def whole(self, status: int, headers: RawHeaders, body: bytes = b"") -> None:
        """Send an answer of the proxy's own."""
        await self.begin(status, headers)
        await self.piece(body)
        await self.end()

    async def refuse(self, refused: Refused) -> None:
        """Send an error."""
        await self.whole(refused.status, refused.headers(), refused.body())


class Upload:
    """A request's body as it arrives."""

    def __init__(self, receive: Receive) -> None:
        import anyio

        self._receive = receive
        self._complete = anyio.Event()

    async def next(self) -> bytes | None:
        """Return the next piece, None at the end. Raises CallerGone."""
        if self._complete.is_set():
            return None
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise CallerGone
        if not message.get("more_body", False):
            self._complete.set()
        return bytes(message.get("body", b""))

    async def caller_gone(self) -> None:
        """Return once the caller closes the connection; before the body's end, only ``next`` sees that."""
        await self._complete.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
