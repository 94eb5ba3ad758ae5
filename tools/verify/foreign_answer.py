"""Answers that say nothing about a release, because something else gave them, or because the prober was kept out.

A proxy, a CDN, a firewall or a captive portal between here and the API answers in its own words: HTML, another
service's JSON, a redirect. That is trouble on the way, and no version of the function mends it. So an answer counts
only if it is ours: API Gateway puts its request id into every answer, and whatever it or the function refuses is
problem+json (docs/contract.md), which no stranger sends.

Of our own answers two kinds speak of the prober alone. 429, and 503 for a full queue, say "later" to everybody; a
version that refuses too many is what alarms watch. 403 where no token was sent, or without our problem type, is a web
ACL (WAF) or a resource policy that does not want this client.
"""

import httpx

from chalicelib.errors import PROBLEM_CONTENT_TYPE, InsufficientScope, QueueFull

_OURS = ("x-amzn-requestid", "x-amz-apigw-id")
_LATER, _FORBIDDEN = 429, 403

ELSEWHERE = "see what stands between here and the API (proxy, CDN, DNS), or ask it elsewhere: URL=…"
LATER = "once more when there is less to do; how much may be asked is in docs/settings.md (ROUTER_RATE_PER_MINUTE)"
LET_IN = "let this client in: the stage's web ACL and the API's resource policy, or ask from where both allow it"


def excuse(answer: httpx.Response) -> tuple[str, str] | None:
    """Why an answer that is not as wanted tells nothing, and what to do; None where it counts."""
    if not is_ours(answer):
        return "not the API's answer, which has a request id of API Gateway's or is problem+json", ELSEWHERE
    problem = _problem(answer)
    if answer.status_code == _LATER or problem == QueueFull.uri():
        return "asked to come later", LATER
    kept_out = "Authorization" not in answer.request.headers or problem != InsufficientScope.uri()
    if answer.status_code == _FORBIDDEN and kept_out:
        return "this client is kept out", LET_IN
    return None


def is_ours(answer: httpx.Response) -> bool:
    """Whether API Gateway or the function gave it."""
    return any(name in answer.headers for name in _OURS) or media_type(answer) == PROBLEM_CONTENT_TYPE


def media_type(answer: httpx.Response) -> str:
    """Without parameters; empty where there is none."""
    return str(answer.headers.get("Content-Type", "")).partition(";")[0].strip().lower()


def _problem(answer: httpx.Response) -> str:
    """The problem's ``type``; empty where there is none."""
    try:
        body = answer.json()
    except ValueError:
        return ""
    return str(body.get("type", "")) if isinstance(body, dict) else ""
