"""The gateway as an ASGI application, with a thread for each request."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from http import HTTPStatus
from typing import Protocol

from chalicelib.observability import log
from tools.local.delivery import BODILESS, ClientGone, Delivery, Message, Receive, Send, head
from tools.local.gateway import HttpRequest
from tools.local.problems import Answer, problem_answer

#: API Gateway's own limit.
MAX_BODY_BYTES = 10 * 1024 * 1024
READ_TIMEOUT_SECONDS = 30.0


class AnswersRequests(Protocol):
    """The gateway that the application calls, in a thread for each request. It must not raise."""

    def answer(self, request: HttpRequest, /) -> Answer: ...


class Refused(Exception):
    """The body cannot be read."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.answer = problem_answer(status, detail)


class GatewayApp:
    """An ASGI 3 application for the scope type ``http``.

    Args:
        read_seconds: how long a client may take to send its body.
    """

    def __init__(self, gateway: AnswersRequests, read_seconds: float = READ_TIMEOUT_SECONDS) -> None:
        self._gateway = gateway
        self._read_seconds = read_seconds
        self._streams: set[Delivery] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            request = await self._request(scope, receive)
            answer = await self._answer(request, receive, send)
        except ClientGone:
            return
        except Refused as refused:
            answer = refused.answer
        except Exception:
            log.exception("unforeseen")
            answer = problem_answer(HTTPStatus.INTERNAL_SERVER_ERROR)
        if answer is not None:
            await _respond(answer, send)

    def wait_for_streams(self, seconds: float) -> None:
        """Give streams that the stop of the server has ended that many seconds to release what they hold."""
        ends = time.monotonic() + seconds
        for stream in tuple(self._streams):
            stream.is_over.wait(max(0.0, ends - time.monotonic()))

    async def _answer(self, request: HttpRequest, receive: Receive, send: Send) -> Answer | None:
        """Return the response, unless it came in pieces and is sent already, or broken off."""
        delivery = Delivery(send)
        watching = asyncio.create_task(delivery.watch(receive))
        try:
            return await _in_thread(lambda: self._answered(request, delivery))
        finally:
            delivery.is_wanted = False  # also when the server stops, which cancels this task
            watching.cancel()

    def _answered(self, request: HttpRequest, delivery: Delivery) -> Answer | None:
        answer = self._gateway.answer(request)
        if isinstance(answer.body, bytes):
            return answer
        self._streams.add(delivery)
        try:
            return delivery.run(answer, answer.body, request.method)
        finally:
            self._streams.discard(delivery)

    async def _request(self, scope: Message, receive: Receive) -> HttpRequest:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        announced = dict(headers).get("content-length", "0")  # the server has checked that it is a number
        _require_acceptable(int(announced))  # before `receive` lets a client go on that sent `Expect: 100-continue`
        try:
            async with asyncio.timeout(self._read_seconds):
                body = await _body(receive)
        except TimeoutError:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, f"The body took more than {self._read_seconds:g} s.") from None
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        return HttpRequest(scope["method"], target.decode("latin-1"), headers, body)


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message["body"]
        _require_acceptable(len(body))
        if not message["more_body"]:
            return bytes(body)


def _require_acceptable(size: int) -> None:
    if size > MAX_BODY_BYTES:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body may have at most {MAX_BODY_BYTES} bytes.")


async def _respond(answer: Answer, send: Send) -> None:
    body = answer.body if isinstance(answer.body, bytes) else b""
    bodiless = answer.status in BODILESS
    headers = [pair for pair in answer.headers if not (bodiless and pair[0].lower() == "content-type")]
    if not bodiless:
        headers.append(("Content-Length", str(len(body))))
    await send(head(answer.status, headers))
    await send({"type": "http.response.body", "body": b"" if bodiless else body})


async def _in_thread[T](call: Callable[[], T]) -> T:
    """Run a call in a thread that a stopping server leaves behind; an executor would wait for it."""
    result: Future[T] = Future()
    result.set_running_or_notify_cancel()  # a cancelled task must not cancel what the thread will complete

    def run() -> None:
        try:
            result.set_result(call())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(result)
