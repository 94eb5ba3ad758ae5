"""Checks that the API's URL serves what was built."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self

import httpx

from chalicelib.errors import PROBLEM_CONTENT_TYPE
from tools.stack import redis
from tools.stack.findings import Finding, compared
from tools.stack.patience import Patience
from tools.verify.foreign_answer import excuse, media_type

#: API Gateway waits 29 s for a function with a cold start.
TIMEOUT_SECONDS = 35.0


@dataclass(frozen=True)
class Site:
    """A running API, requested over HTTP.

    Attributes:
        url: its address, stage included.
        patience: how long a response may be missing or unwanted, for all requests together.
        timeout: seconds that one response may take.
    """

    url: str
    patience: Patience = field(default_factory=Patience)
    timeout: float = TIMEOUT_SECONDS

    @classmethod
    def of(cls, url: str, patience: float | None) -> Self:
        """Return a site with that patience in seconds, or with the usual one for None."""
        return cls(url) if patience is None else cls(url, Patience(patience))

    def asked(self, method: str, path: str, wanted: Callable[[httpx.Response], bool], **options: Any) -> httpx.Response:
        """Return the first response that is as wanted, or the last one before patience ends.

        Raises:
            httpx.HTTPError: the last request got no response.
        """
        with httpx.Client(base_url=self.url, timeout=self.timeout) as client:
            while True:
                try:
                    answer = client.request(method, path, **options)
                except httpx.TransportError:
                    if not self.patience.again():
                        raise
                    continue
                if wanted(answer) or not self.patience.again():
                    return answer


def health(site: Site, build: str | None, version: str | None, fix: str) -> Iterator[Finding]:
    """Check that ``/health`` is 200, with the wanted build and function version.

    Args:
        build: the wanted build; None accepts any.
        version: the number of the alias's version; None accepts any, as on a laptop.
    """
    wanted = {name: value for name, value in (("version", build), ("function_version", version)) if value is not None}
    answer = site.asked("GET", "/health", lambda answer: _is_health(answer) and _said(answer, wanted) == wanted)
    found = "200" if _is_health(answer) else f"{answer.status_code} {answer.text[:200]}"
    why = "the function cannot start, or API Gateway cannot reach it"
    status = judged(answer, compared("GET /health", found, "200", why=why, fix=fix))
    yield status
    for name, value in wanted.items() if status.ok else ():
        said = _said(answer, wanted).get(name, "nothing")
        why = "callers get another build or version than the wanted one"
        yield judged(answer, compared(f"{name} in GET /health", said, value, why=why, fix=fix))


#: The dependencies that ``/ready`` checks, each with the consequence of a fault and its fix.
_NEEDS = {
    "redis": ("the function cannot store or read a job: 503", "check the Redis that the function's URL names"),
    "jwks": ("the function cannot check a token: 503", "set cognito_jwks, or let the function reach the issuer"),
    "clients": ("callers with a client of the parameter get 401", "create the parameter of cognito_aud_parameter"),
}
#: Those that each stack has.
_ALWAYS = ("redis", "jwks")


def readiness(site: Site) -> Iterator[Finding]:
    """Check ``/ready``. No release is taken back for it, because what it checks is not part of a release."""
    # A fault with a reason does not pass by itself.
    answer = site.asked(
        "GET",
        "/ready",
        lambda answer: answer.status_code == 200 or any("reason" in part for part in _parts(answer).values()),
    )
    parts = _parts(answer)
    if not parts:
        why, fix = "it is unknown whether the function can reach its dependencies", "see the function's log"
        found, wanted = f"{answer.status_code} {answer.text[:200]}", "200 and one entry for each dependency"
        yield judged(answer, Finding("GET /ready", False, found, wanted, why, fix))
        return
    for name, part in parts.items():
        yield _part(f"{name} in GET /ready", name, part)


def _parts(answer: httpx.Response) -> dict[str, dict[str, Any]]:
    """Return what ``/ready`` says of each dependency; empty if the response has another format."""
    try:
        body = answer.json()
        return {name: dict(body[name]) for name in _NEEDS if name in body or name in _ALWAYS}
    except (ValueError, TypeError, LookupError):
        return {}


def _part(thing: str, name: str, part: dict[str, Any]) -> Finding:
    reason = str(part.get("reason", ""))
    if part.get("ok"):
        return redis.unknown(thing, reason) if reason else Finding(thing, ok=True, found="ok")
    if reason:
        return redis.evicts(thing, reason)
    why, fix = _NEEDS[name]
    return Finding(thing, False, "no response", "ok", why, f"{fix}; the function's log has the reason")


def refusal(site: Site, fix: str) -> Iterator[Finding]:
    """Check that a job without a token is rejected as docs/contract.md promises."""
    wanted = f"401 {PROBLEM_CONTENT_TYPE}"
    answer = site.asked("POST", "/v1/jobs", lambda answer: _kind(answer) == wanted, json={})
    why = "anybody may send jobs, or callers cannot tell a bad token from a broken service"
    yield judged(answer, compared("POST /v1/jobs without a token", _kind(answer), wanted, why=why, fix=fix))


def judged(answer: httpx.Response, finding: Finding) -> Finding:
    """Return the finding about a response, marked as unseen if the response says nothing about the release."""
    if finding.ok or not (excused := excuse(answer)):
        return finding
    reason, what_to_do = excused
    return replace(finding, found=f"{finding.found} ({reason})", seen=False, why="", fix=what_to_do)


def status_said(answer: httpx.Response, wanted: int) -> str:
    """Return the status, with the beginning of the problem if another status was wanted."""
    return str(wanted) if answer.status_code == wanted else f"{answer.status_code} {answer.text[:200]}"


def _is_health(answer: httpx.Response) -> bool:
    """Return whether the response is from our ``/health``; a foreign page may be 200, too."""
    return answer.status_code == 200 and bool(_said(answer, ("status",)))


def _said(answer: httpx.Response, wanted: Iterable[str]) -> dict[str, str]:
    """Return these members, as far as the response has them."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return {name: str(body[name]) for name in wanted if name in body} if isinstance(body, dict) else {}


def _kind(answer: httpx.Response) -> str:
    return f"{answer.status_code} {media_type(answer) or 'without Content-Type'}"
