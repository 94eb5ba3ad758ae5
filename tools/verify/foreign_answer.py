"""Responses that say nothing about a release: something else sent them, or this client is blocked.

A proxy, a CDN, a firewall or a captive portal between here and the API sends its own responses: HTML, another
service's JSON, a redirect. No version of the function fixes that. So a response counts only if it is the API's own. API
Gateway puts its request id into every response, and whatever it or the function rejects is problem+json
(docs/contract.md), which nothing else sends.

Two kinds of the API's own responses do not count either. 429, and 503 for a full queue, say "later" to everybody;
alarms watch for a version that rejects too many requests. 403 where no token was sent, or without our problem type,
comes from a web ACL (WAF) or a resource policy that excludes this client.
"""

import httpx

from chalicelib.errors import PROBLEM_CONTENT_TYPE, InsufficientScope, QueueFull

_OURS = ("x-amzn-requestid", "x-amz-apigw-id")
_LATER, _FORBIDDEN = 429, 403

ELSEWHERE = "check what is between this machine and the API (proxy, CDN, DNS), or use another address: URL=…"
LATER = "retry when the load is lower; the rate limit is in docs/settings.md (ROUTER_RATE_PER_MINUTE)"
LET_IN = "allow this client in the stage's web ACL and the API's resource policy, or use a client that both allow"


def excuse(answer: httpx.Response) -> tuple[str, str] | None:
    """Return why an unwanted response says nothing about the release, and what to do; None if it counts."""
    if not is_ours(answer):
        return "not the API's response: it has no request id of API Gateway and is not problem+json", ELSEWHERE
    problem = _problem(answer)
    if answer.status_code == _LATER or problem == QueueFull.uri():
        return "rejected by the rate limit or a full queue", LATER
    kept_out = "Authorization" not in answer.request.headers or problem != InsufficientScope.uri()
    if answer.status_code == _FORBIDDEN and kept_out:
        return "this client is blocked", LET_IN
    return None


def is_ours(answer: httpx.Response) -> bool:
    """Return whether API Gateway or the function sent the response."""
    return any(name in answer.headers for name in _OURS) or media_type(answer) == PROBLEM_CONTENT_TYPE


def media_type(answer: httpx.Response) -> str:
    """Return the media type without parameters; empty if there is none."""
    return str(answer.headers.get("Content-Type", "")).partition(";")[0].strip().lower()


def _problem(answer: httpx.Response) -> str:
    """Return the problem's ``type``; empty if there is none."""
    try:
        body = answer.json()
    except ValueError:
        return ""
    return str(body.get("type", "")) if isinstance(body, dict) else ""
