"""Writes down what is asked of AWS: a layer around the WSGI application that plays it, and what reads the record."""

import json
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

Json = dict[str, Any]

_RECORD = "/-/calls"
_HEADERS = {"HTTP_AUTHORIZATION": "authorization", "HTTP_X_AMZ_TARGET": "target", "HTTP_USER_AGENT": "agent"}


class Recorder:
    """A WSGI application that keeps every request, in order, and hands the record out at a path that AWS has not.

    Requests are answered one after the other: moto shares its state between threads without locks, and an answer that
    one of them spoils is asked for again by Terraform, which is then told that the thing exists already.
    """

    def __init__(self, aws: Callable[..., Iterable[bytes]]) -> None:
        self._aws = aws
        self._calls: list[Json] = []
        self._one_at_a_time = threading.Lock()

    def __call__(self, environ: Json, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == _RECORD:
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(self._calls[int(environ["QUERY_STRING"]) :]).encode()]
        call = _call(environ)
        with self._one_at_a_time:
            self._calls.append(call)
            return self._aws(environ, start_response)


def _call(environ: Json) -> Json:
    headers = {ours: environ.get(theirs, "") for theirs, ours in _HEADERS.items()}
    path = environ["RAW_URI"].partition("?")[0]  # as it was sent: an ARN in it has its slashes escaped
    where = {"method": environ["REQUEST_METHOD"], "path": path, "query": environ["QUERY_STRING"]}
    return where | headers | {"body": _body(environ)}


def _body(environ: Json) -> str:
    """What a service with JSON or forms is sent; S3's bodies are its objects, which nobody needs."""
    if "/s3/" in environ.get("HTTP_AUTHORIZATION", ""):
        return ""
    raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(raw)
    return raw.decode("utf-8", "replace")


def recorded(url: str, since: int = 0) -> list[Json]:
    """Every request but the first ``since``, in the order in which they came."""
    with urllib.request.urlopen(f"{url}{_RECORD}?{since}") as answer:
        return list(json.load(answer))


@dataclass
class Recording:
    """What was asked of AWS, phase by phase; what a test itself asks between two phases is in none."""

    url: str
    phases: dict[str, list[Json]] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str, key: str = "") -> Iterator[None]:
        """Record what is asked until the end, with that access key where one is given: others ask at the same time."""
        before = len(recorded(self.url))
        yield
        asked = recorded(self.url, before)
        self.phases[name] = [each for each in asked if f"Credential={key}" in each["authorization"]]
