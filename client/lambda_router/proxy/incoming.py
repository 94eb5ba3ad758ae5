"""A request's body for one of several servers: read until its model is known, then on as it comes."""

from collections.abc import AsyncIterator

from lambda_router.proxy.answer import Upload
from lambda_router.proxy.model_member import ModelMember
from lambda_router.proxy.refusals import Refused

#: API Gateway takes 10 MB (https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html).
_MOST_BYTES = 10 * 1024 * 1024
#: Of all requests together.
_MOST_HELD = 64 * 1024 * 1024


class Body:
    """What is left to send of a request's body.

    Attributes:
        growth: bytes by which the body is longer than the caller's.
    """

    def __init__(self, upload: Upload, first: bytes = b"", growth: int = 0) -> None:
        self._upload, self._first, self.growth = upload, first, growth

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body. Raises CallerGone."""
        first, self._first = self._first, b""
        if first:
            yield first
        while (piece := await self._upload.next()) is not None:
            if piece:
                yield piece


class Held:
    """The bytes that wait for their model, over all requests."""

    def __init__(self, most: int = _MOST_HELD, most_of_one: int = _MOST_BYTES) -> None:
        self._bytes, self._most, self._most_of_one = 0, most, most_of_one

    async def until_model(self, upload: Upload) -> ModelMember:
        """Read until the model is known, or to the end.

        Raises:
            CallerGone: the caller left.
            Refused: the body is longer than any server takes, or too many are held.
        """
        member, held = ModelMember(), 0
        try:
            while (piece := await upload.next()) is not None:
                held += len(piece)
                self._bytes += len(piece)
                self._check(held)
                if member.feed(piece):
                    break
        finally:
            self._bytes -= held
        return member

    def _check(self, held: int) -> None:
        if held > self._most_of_one:
            raise Refused(413, "body_too_large", f"no model in the body's first {self._most_of_one} bytes", "model")
        if self._bytes > self._most:
            raise Refused(503, "overloaded", "too many bodies wait for their model: put model first, or try later")
