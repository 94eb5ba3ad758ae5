"""What every route of signed-in callers does first, and what it reads from the request."""

from typing import Any

from chalice.app import Request

from chalicelib import wiring
from chalicelib.api import request_headers
from chalicelib.api.middleware import request_id
from chalicelib.callers.auth import Principal
from chalicelib.errors import MalformedRequest
from chalicelib.jobs.admission import Caller
from chalicelib.jobs.job_records import JOB_ID
from chalicelib.observability import notes
from chalicelib.wiring import Services

#: A wait ends this long before the function times out, so that there is time to send the response.
WAIT_RESERVE_SECONDS = 2.0


def guarded(request: Request, *, is_json: bool = True) -> tuple[Services, Principal]:
    """Return the services and the caller, once the caller's token is verified and carries the scope.

    Args:
        is_json: the response will be JSON, and the request has to accept that.

    Raises:
        Unauthenticated, InsufficientScope, NotAcceptable: in this order.
    """
    services = wiring.services()
    principal = services.verifier.authenticate(request_headers.header_values(request, "authorization"))
    notes().principal = principal.owner
    principal.require(services.settings.router_scope)
    if is_json:
        request_headers.acceptable(request)
    return services, principal


def caller_of(request: Request, principal: Principal) -> Caller:
    """Return the caller with the ids of this request and of its trace. The log line gets the trace's id."""
    sent = request_headers.header_values(request, "traceparent")
    trace = request_headers.traceparent(sent[0] if len(sent) == 1 else None)
    notes().trace_id = trace.split("-")[1]
    return Caller(principal.owner, request_id(request), trace)


def note_job(job_id: str) -> None:
    """Add the id to the request's log line."""
    if JOB_ID.fullmatch(job_id):  # any other text in the path is the caller's and is not logged
        notes().job_id = job_id


def affordable_seconds(request: Request, seconds: int) -> float:
    """Return the seconds to wait, fewer if the function would otherwise time out while it holds the request."""
    context: Any = request.lambda_context
    remaining: float = context.get_remaining_time_in_millis() / 1000
    return min(seconds, remaining - WAIT_RESERVE_SECONDS)


def body_bytes(request: Request) -> bytes:
    """Return the request's body. Raises MalformedRequest."""
    try:
        body = request.raw_body
        return body.encode() if isinstance(body, str) else body
    except ValueError:
        raise MalformedRequest("The event's body does not match its isBase64Encoded.") from None
