"""HTTP for the kit's own few requests: bounded in time and size, without redirects. httpx is imported when used."""

import json
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from lambda_router.addresses import is_loopback
from lambda_router.errors import BadServer, KitError, ServerAway

_TIMEOUT_SECONDS = 20.0
_MAX_BYTES = 262_144


@dataclass(frozen=True)
class Response:
    """An HTTP response as far as the kit needs it.

    Attributes:
        body: the JSON object, None if the body is none. It may hold tokens, so ``repr`` leaves it out.
        date: the server's clock in Unix seconds, None if it does not tell it.
        location: where it redirects to, which is not followed.
    """

    status: int
    body: dict[str, Any] | None = field(repr=False)
    date: float | None
    location: str = field(default="", repr=False)


def get(url: str) -> Response:
    """Fetch a JSON document. Raises ServerAway, or BadServer if it is too long."""
    return _request("GET", url)


def post(url: str, form: str, headers: Mapping[str, str]) -> Response:
    """Send a form, already encoded. Raises ServerAway, or BadServer if the answer is too long."""
    sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    return _request("POST", url, content=form, headers=sent)


def _request(method: str, url: str, **options: Any) -> Response:
    import httpx

    # A proxy is no way to this machine.
    trust = not is_loopback(urlsplit(url).hostname)
    options["headers"] = {"Accept": "application/json", **options.get("headers", {})}
    with usable_proxies():
        client = httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=False, trust_env=trust)
    try:
        with (
            client as opened,
            _in_time(url) as trace,
            opened.stream(method, url, extensions=trace, **options) as response,
        ):
            content = whole(response.iter_bytes(), _place(url), _MAX_BYTES, _TIMEOUT_SECONDS)
            date, location = clock(response.headers.get("date")), response.headers.get("location", "")
            return Response(response.status_code, object_in(content), date, location)
    except httpx.ProtocolError:  # its text quotes what came or should go, which may be a token
        raise ServerAway(
            f"{_place(url)} broke off, or does not speak HTTP: try again later, or correct the address"
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # UnicodeError: a label of no host's name
        raise ServerAway(f"{_place(url)} cannot be reached: {_reason(error)}") from None


@contextmanager
def _in_time(url: str) -> Iterator[dict[str, Any]]:
    """End the connection when the time is over: httpx limits each read, and a head may come in thousands.

    Yields:
        The request's extensions (https://www.encode.io/httpcore/extensions/#trace).

    Raises:
        ServerAway: what went wrong after that time, which is no fault of the connection.
    """
    import httpx

    found: list[Any] = []
    is_over = threading.Event()

    def trace(event: str, info: dict[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            found.append(info["return_value"].get_extra_info("socket"))

    def end() -> None:
        is_over.set()
        for each in found:
            with suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)

    timer = threading.Timer(_TIMEOUT_SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        yield {"trace": trace}
    except httpx.HTTPError:
        if is_over.is_set():
            raise _too_slow(_place(url), _TIMEOUT_SECONDS) from None
        raise
    finally:
        timer.cancel()


@contextmanager
def usable_proxies() -> Iterator[None]:
    """Make a client of httpx in here. Raises KitError if a proxy of the environment is none that it can use."""
    try:
        yield
    except (ImportError, ValueError):  # SOCKS without a further package, or another scheme
        raise KitError(
            "the proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY cannot be used: set http://host:port, or put the server"
            " into NO_PROXY"
        ) from None


def whole(pieces: Iterable[bytes], place: str, most_bytes: int, seconds: float) -> bytes:
    """Return a body of bounded size that comes in a bounded time.

    Args:
        place: the server, for the errors.

    Raises:
        BadServer: it is longer.
        ServerAway: it takes longer.
    """
    content, deadline = bytearray(), time.monotonic() + seconds
    for piece in pieces:
        content += piece
        if len(content) > most_bytes:
            raise BadServer(f"{place} answered with more than {most_bytes} bytes: is the address right?")
        if time.monotonic() > deadline:
            raise _too_slow(place, seconds)
    return bytes(content)


def _too_slow(place: str, seconds: float) -> ServerAway:
    return ServerAway(f"{place} took more than {seconds:.0f} s for an answer: try again later")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "that is not a valid host name"
    text = str(error) or type(error).__name__
    if "not yet valid" in text or "has expired" in text:
        text += "; if this computer's clock is wrong, set it"
    elif "WRONG_VERSION_NUMBER" in text:
        text += "; there is no https at that port, but perhaps http"
    elif "CERTIFICATE_VERIFY_FAILED" in text:
        text += "; for a company's own authority set SSL_CERT_FILE"
    return text


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def object_in(content: bytes) -> dict[str, Any] | None:
    """Return the JSON object; None if it is none, whatever a server sends."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def clock(text: str | None) -> float | None:
    """Return the Unix seconds of a ``Date`` header, None if it has none."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None
