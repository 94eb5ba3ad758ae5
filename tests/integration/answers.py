"""What answers have in common, and an answer of every kind."""

from typing import Any

from tests.conftest import Reply, Router
from tests.job_ids import any_job_id

#: The contract: a caller learns within this time that Redis is away.
GIVE_UP_SECONDS = 2.0

QUEUE_FULL = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"

QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"

TOO_MUCH_STORED = "urn:problem-type:lambda-router:too-much-stored"
TOO_MANY_OPEN = "urn:problem-type:lambda-router:too-many-open-jobs"

QUEUE_UNAVAILABLE = "urn:problem-type:lambda-router:queue-unavailable"


def assert_unavailable(reply: Reply) -> None:
    assert reply.status == 503, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["retry-after"] == "2"
    assert reply.json["type"] == QUEUE_UNAVAILABLE
    assert "Idempotency-Key" in reply.json["detail"]


def assert_out_of_memory(reply: Reply) -> None:
    problem = assert_problem(reply, 503)
    assert problem["type"] == QUEUE_FULL
    assert problem["detail"] == "The queue's memory is full; nothing was stored."
    assert reply.headers["retry-after"] == "30"


def assert_problem(reply: Reply, status: int) -> dict[str, Any]:
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = reply.json
    assert problem["status"] == status
    assert problem["instance"] == reply.headers["x-request-id"]
    assert problem["type"]
    assert problem["title"]
    return problem


def assert_held_back(reply: Reply, status: int, kind: str) -> dict[str, Any]:
    """By a limit: with the rate that holds, and when to come again."""
    problem = assert_problem(reply, status)
    assert problem["type"] == kind
    assert 1 <= int(reply.headers["retry-after"]) <= 120
    assert reply.headers["ratelimit-policy"].startswith('"rate";q=')
    return problem


def ids(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.body
    return [job["id"] for job in reply.json["data"]]


def every_answer(router: Router, generate: dict[str, Any]) -> dict[str, Reply]:
    """An answer of every kind."""
    accepted = router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    location = accepted.headers["location"]
    read = router.get(location)
    return {
        "accepted": accepted,
        "read": read,
        "replayed": router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"}),
        "unchanged": router.get(location, headers={"If-None-Match": read.headers["etag"]}),
        "listed": router.get("/v1/jobs"),
        "cancelled": router.delete(location),
        "health": router.get("/health"),
        "ready": router.get("/ready"),
        "document": router.get("/openapi.json"),
        "malformed": router.post("/v1/jobs", b"{"),
        "no token": router.as_caller(None).get("/v1/jobs"),
        "unknown": router.get(f"/v1/jobs/{any_job_id()}"),
        "method": router.call("PUT", "/v1/jobs"),
        "media type": router.post("/v1/jobs", generate, headers={"Content-Type": "text/plain"}),
        "accept": router.get("/v1/jobs", headers={"Accept": "text/html"}),
        "invalid": router.post("/v1/jobs", {}),
        "nowhere": router.get("/nowhere"),
    }


def tracebacks(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The log lines that hold an exception."""
    return [line for line in lines if "exception" in line]
