"""HTTP for one server's API: a fresh token with every request, bounded in time and size, without redirects."""

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from lambda_router import tokens
from lambda_router.addresses import is_loopback
from lambda_router.calling.event_stream import events_in
from lambda_router.calling.refusals import refusal, seconds_in
from lambda_router.calling.terminal import one_line
from lambda_router.errors import BadServer, ServerAway
from lambda_router.http import clock, object_in, usable_proxies, whole
from lambda_router.servers import Server

#: More than the largest result in JSON has.
_MAX_BYTES = 32 * 1024 * 1024
_MAX_REFUSAL_BYTES = 65_536
_CONNECT_SECONDS = 10.0
SECONDS = 40.0
#: Streams say something every 15 s (docs/openai.md, "Events").
SILENCE_SECONDS = 50.0


@dataclass(frozen=True)
class Reply:
    """A JSON object and what its headers say.

    Attributes:
        clock: the server's clock in Unix seconds, this machine's if it does not tell it.
        retry_after: seconds until asking again makes sense, None if it does not say.
    """

    document: dict[str, Any]
    clock: float
    retry_after: float | None


class Api:
    """Calls of one server. Threads may share it.

    Args:
        silence_seconds: how long a stream may send nothing.
    """

    def __init__(self, server: Server, silence_seconds: float = SILENCE_SECONDS) -> None:
        self.server = server
        self._silence_seconds = silence_seconds
        # A proxy is no way to this machine.
        trusts = not is_loopback(httpx.URL(server.url).host)
        limits = httpx.Timeout(SECONDS, connect=_CONNECT_SECONDS)
        with usable_proxies():
            self._http = httpx.Client(timeout=limits, follow_redirects=False, trust_env=trusts)

    def close(self) -> None:
        """End all connections."""
        self._http.close()

    def call(self, method: str, path: str, **options: Any) -> Reply:
        """Send a request with the options of httpx and return its JSON object.

        Raises:
            CallRefused: the status is 400 or above.
            ServerAway: the server cannot be reached, or is too slow.
            KitError: there is no token, or the answer is none of this API's.
        """
        with self._sent(method, path, "application/json", **options) as response:
            content = self._whole(response, _MAX_BYTES)
            if response.status_code == 204:
                content = b"{}"
            return Reply(self._object(content), *_clock_and_wait(response.headers))

    @contextmanager
    def events(self, path: str, query: Mapping[str, str]) -> Iterator[Iterator[dict[str, Any] | None]]:
        """Open a stream of events, as ``events_in`` yields them.

        Raises:
            CallRefused, ServerAway, KitError: as for ``call``, and ServerAway also when it breaks off.
        """
        limits = httpx.Timeout(self._silence_seconds, connect=_CONNECT_SECONDS)
        with self._sent("GET", path, "text/event-stream", params=query, timeout=limits) as response:
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "text/event-stream":
                raise BadServer(f"{self.server.url} answers with {one_line(kind, 40) or 'no type'}, not with a stream")
            yield events_in(response.iter_bytes())

    @contextmanager
    def _sent(self, method: str, path: str, accept: str, **options: Any) -> Iterator[httpx.Response]:
        headers = {
            "Accept": accept,
            "Accept-Encoding": "identity",  # nothing small grows when it arrives
            **options.pop("headers", {}),
            "Authorization": f"Bearer {tokens.token_of(self.server)}",
        }
        try:
            with self._opened(method, f"{self.server.url}{path}", headers=headers, **options) as response:
                if response.status_code >= 300:
                    content = self._whole(response, _MAX_REFUSAL_BYTES)
                    raise refusal(self.server, response.status_code, response.headers, content)
                yield response
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise ServerAway(f"{self.server.url} cannot be reached: {_reason(error)}") from None

    def _opened(self, method: str, url: str, **options: Any) -> AbstractContextManager[httpx.Response]:
        return self._http.stream(method, url, **options)

    def _whole(self, response: httpx.Response, most_bytes: int) -> bytes:
        return whole(response.iter_bytes(), self.server.url, most_bytes, SECONDS)

    def _object(self, content: bytes) -> dict[str, Any]:
        found = object_in(content)
        if found is None:
            raise BadServer(f"{self.server.url} did not answer with a JSON object: is the address right?")
        return found


def _reason(error: Exception) -> str:
    # Of a header that cannot be sent httpx quotes the value, which is the token.
    if isinstance(error, httpx.LocalProtocolError | UnicodeError):
        return "the token cannot be sent; log in again"
    return one_line(error, 200) or type(error).__name__


def _clock_and_wait(headers: Mapping[str, str]) -> tuple[float, float | None]:
    told = clock(headers.get("date"))
    return time.time() if told is None else told, seconds_in(headers.get("retry-after"))
