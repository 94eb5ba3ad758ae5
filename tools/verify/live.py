"""Whether what answers on the API's URL is what was built."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self

import httpx

from chalicelib.errors import PROBLEM_CONTENT_TYPE
from tools.stack import redis
from tools.stack.findings import Finding, compared
from tools.stack.patience import Patience
from tools.verify.foreign_answer import excuse, media_type

#: API Gateway waits 29 s for a function that starts cold.
TIMEOUT_SECONDS = 35.0


@dataclass(frozen=True)
class Site:
    """A running API, asked over HTTP.

    Attributes:
        url: where it answers, stage included.
        patience: how long an answer may be missing or another one than wanted, for all requests together.
        timeout: seconds that one answer may take.
    """

    url: str
    patience: Patience = field(default_factory=Patience)
    timeout: float = TIMEOUT_SECONDS

    @classmethod
    def of(cls, url: str, patience: float | None) -> Self:
        """With the usual patience where none is given."""
        return cls(url) if patience is None else cls(url, Patience(patience))

    def asked(self, method: str, path: str, wanted: Callable[[httpx.Response], bool], **options: Any) -> httpx.Response:
        """The first answer that is as wanted, or the last one before patience ends.

        Raises:
            httpx.HTTPError: there was none to the last request.
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
    """``/health`` is 200, and says the build and the function's version that it should.

    Args:
        build: None where any will do.
        version: the number of the alias's version; None where any will do, as on a laptop.
    """
    wanted = {name: value for name, value in (("version", build), ("function_version", version)) if value is not None}
    answer = site.asked("GET", "/health", lambda answer: _is_health(answer) and _said(answer, wanted) == wanted)
    found = "200" if _is_health(answer) else f"{answer.status_code} {answer.text[:200]}"
    why = "the function cannot start, or API Gateway does not reach it"
    status = judged(answer, compared("GET /health", found, "200", why=why, fix=fix))
    yield status
    for name, value in wanted.items() if status.ok else ():
        said = _said(answer, wanted).get(name, "nothing")
        why = "what answers callers is not what was built"
        yield judged(answer, compared(f"{name} in GET /health", said, value, why=why, fix=fix))


#: What ``/ready`` looks at, and what is wrong while that is not well.
_NEEDS = {
    "redis": ("the function cannot store or read a job: 503", "look at the Redis that the function's URL names"),
    "jwks": ("the function cannot check a token: 503", "set cognito_jwks, or give the function a way to the issuer"),
}


def readiness(site: Site) -> Iterator[Finding]:
    """``/ready`` is well. No release is taken back for it: what it looks at is not part of one."""
    answer = site.asked("GET", "/ready", lambda answer: answer.status_code == 200 or _says_why(answer))
    parts = _parts(answer)
    if parts is None:
        why, fix = "nobody knows whether the function can reach what it needs", "see the function's log"
        found, wanted = f"{answer.status_code} {answer.text[:200]}", "200 and one entry for each dependency"
        yield judged(answer, Finding("GET /ready", False, found, wanted, why, fix))
        return
    for name, part in parts.items():
        yield _part(f"{name} in GET /ready", name, part)


def _says_why(answer: httpx.Response) -> bool:
    """Then it does not pass by itself."""
    return any("reason" in part for part in (_parts(answer) or {}).values())


def _parts(answer: httpx.Response) -> dict[str, dict[str, Any]] | None:
    """What ``/ready`` says of each; None where that is not how it speaks."""
    try:
        body = answer.json()
        return {name: dict(body[name]) for name in _NEEDS}
    except (ValueError, TypeError, LookupError):
        return None


def _part(thing: str, name: str, part: dict[str, Any]) -> Finding:
    reason = str(part.get("reason", ""))
    if part.get("ok"):
        return redis.unknown(thing, reason) if reason else Finding(thing, ok=True, found="ok")
    if reason:
        return redis.evicts(thing, reason)
    why, fix = _NEEDS[name]
    return Finding(thing, False, "does not answer", "ok", why, f"{fix}; the function's log has the reason")


def refusal(site: Site, fix: str) -> Iterator[Finding]:
    """A job without a token is refused as docs/contract.md promises."""
    wanted = f"401 {PROBLEM_CONTENT_TYPE}"
    answer = site.asked("POST", "/v1/jobs", lambda answer: _kind(answer) == wanted, json={})
    why = "strangers may send jobs, or callers cannot tell a bad token from a broken service"
    yield judged(answer, compared("POST /v1/jobs without a token", _kind(answer), wanted, why=why, fix=fix))


def judged(answer: httpx.Response, finding: Finding) -> Finding:
    """What was found in an answer; unseen where the answer says nothing about the release."""
    if finding.ok or not (excused := excuse(answer)):
        return finding
    reason, what_to_do = excused
    return replace(finding, found=f"{finding.found} ({reason})", seen=False, why="", fix=what_to_do)


def status_said(answer: httpx.Response, wanted: int) -> str:
    """The status; where another was wanted, with the beginning of the problem."""
    return str(wanted) if answer.status_code == wanted else f"{answer.status_code} {answer.text[:200]}"


def _is_health(answer: httpx.Response) -> bool:
    """A stranger's page may be 200, too."""
    return answer.status_code == 200 and bool(_said(answer, ("status",)))


def _said(answer: httpx.Response, wanted: Iterable[str]) -> dict[str, str]:
    """What the answer says of these members."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return {name: str(body[name]) for name in wanted if name in body} if isinstance(body, dict) else {}


def _kind(answer: httpx.Response) -> str:
    return f"{answer.status_code} {media_type(answer) or 'without Content-Type'}"
