"""Whether what answers on the API's URL is what was built."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import httpx

from chalicelib.errors import PROBLEM_CONTENT_TYPE
from tools.findings import Finding, compared

#: API Gateway waits 29 s for a function that starts cold.
TIMEOUT_SECONDS = 35.0
#: A changed stage or alias takes some seconds until every one of API Gateway's hosts goes by it.
PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 3.0


@dataclass(frozen=True)
class Site:
    """A running API, asked over HTTP.

    Attributes:
        url: where it answers, stage included.
        patience_seconds: how long an answer may be another one than wanted.
    """

    url: str
    patience_seconds: float = PATIENCE_SECONDS

    @classmethod
    def of(cls, url: str, patience: float | None) -> Self:
        """With the usual patience where none is given."""
        return cls(url) if patience is None else cls(url, patience)

    def asked(self, method: str, path: str, wanted: Callable[[httpx.Response], bool], **options: Any) -> httpx.Response:
        """The first answer that is as wanted, or the last one before patience ends.

        Raises:
            httpx.HTTPError: no answer came.
        """
        until = time.monotonic() + self.patience_seconds
        with httpx.Client(base_url=self.url, timeout=TIMEOUT_SECONDS) as client:
            while True:
                answer = client.request(method, path, **options)
                if wanted(answer) or time.monotonic() + _PAUSE_SECONDS > until:
                    return answer
                time.sleep(_PAUSE_SECONDS)


def health(site: Site, build: str | None, version: str | None, fix: str) -> Iterator[Finding]:
    """``/health`` is 200, and says the build and the function's version that it should.

    Args:
        build: None where any will do.
        version: the number of the alias's version; None where any will do, as on a laptop.
    """
    wanted = {name: value for name, value in (("version", build), ("function_version", version)) if value is not None}
    answer = site.asked("GET", "/health", lambda answer: _said(answer, wanted) == wanted)
    yield compared(
        "GET /health",
        status_said(answer, 200),
        "200",
        why="the function cannot start, or API Gateway does not reach it",
        fix=fix,
    )
    for name, value in wanted.items() if answer.status_code == 200 else ():
        yield compared(
            f"{name} in GET /health",
            _said(answer, wanted).get(name, "nothing"),
            value,
            why="what answers callers is not what was built",
            fix=fix,
        )


def refusal(site: Site, fix: str) -> Iterator[Finding]:
    """A job without a token is refused as docs/contract.md promises."""
    wanted = f"401 {PROBLEM_CONTENT_TYPE}"
    answer = site.asked("POST", "/v1/jobs", lambda answer: _kind(answer) == wanted, json={})
    yield compared(
        "POST /v1/jobs without a token",
        _kind(answer),
        wanted,
        why="strangers may send jobs, or callers cannot tell a bad token from a broken service",
        fix=fix,
    )


def _said(answer: httpx.Response, wanted: dict[str, str]) -> dict[str, str]:
    """What the answer says of these members."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return {name: str(body[name]) for name in wanted if name in body} if isinstance(body, dict) else {}


def status_said(answer: httpx.Response, wanted: int) -> str:
    """The status; where another was wanted, with the beginning of the problem."""
    return str(wanted) if answer.status_code == wanted else f"{answer.status_code} {answer.text[:200]}"


def _kind(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.headers.get('Content-Type', 'without Content-Type').partition(';')[0]}"
