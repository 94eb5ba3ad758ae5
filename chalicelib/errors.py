"""Every problem that a caller can receive (RFC 9457), one class each.

::

    Problem
    ├── MalformedRequest 400        ├── UnsupportedMediaType 415
    ├── Unauthenticated 401         ├── InvalidJob 422
    ├── InsufficientScope 403       ├── IdempotencyKeyReused 422
    ├── NotFound 404                ├── RateLimited 429
    ├── MethodNotAllowed 405        ├── TooManyOpenJobs 429
    ├── NotAcceptable 406           ├── TooMuchStored 429
    ├── PayloadTooLarge 413         ├── InternalError 500
    ├── EncryptionUnavailable 503   ├── Misconfigured 500
    ├── QueueFull 503               ├── QueueUnavailable 503
    ├── InvalidParameter 400        ├── ModelNotFound 404
    ├── PreviousResponse… 400       ├── TooManyHeld 429
    ├── JobNotCompleted 500         ├── StillRunning 503
    └── SigningKeysUnavailable 503

The first sentence of a class's docstring becomes its row in ``docs/errors.md``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from chalice.app import ChaliceUnhandledError

PROBLEM_CONTENT_TYPE = "application/problem+json"

#: The IANA registry of the problem types in draft-ietf-httpapi-ratelimit-headers (section 6).
IANA_PROBLEM_TYPES = "https://iana.org/assignments/http-problem-types#"

FieldError = Mapping[str, str]
"""``{"pointer": <RFC 6901 pointer>, "detail": <sentence>}``."""


class Problem(ChaliceUnhandledError):
    """Base class of all problems.

    It derives from ``ChaliceUnhandledError`` because Chalice turns every other exception into ``{"Code", "Message"}``
    before middleware can see it.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    type_uri: ClassVar[str] = ""

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        violated_policies: Sequence[str] = (),
        reason: str | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.violated_policies = list(violated_policies)
        #: The fault and its fix, for the log: never for callers.
        self.reason = reason

    @classmethod
    def slug(cls) -> str:
        """Return the kebab-case name used in ``type``, logs and metrics."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    @classmethod
    def uri(cls) -> str:
        """Return the ``type`` member."""
        return cls.type_uri or f"urn:problem-type:lambda-router:{cls.slug()}"

    @classmethod
    def kinds(cls) -> "Iterator[type[Problem]]":
        """Yield every concrete problem, ordered by status, then by name."""
        yield from sorted(cls.__subclasses__(), key=lambda kind: (kind.status, kind.__name__))

    def to_dict(self, instance: str) -> dict[str, Any]:
        """Return the problem+json members; ``instance`` is the request id."""
        body: dict[str, Any] = {"type": self.uri(), "title": self.title, "status": self.status}
        optional = {
            "detail": self.detail,
            "instance": instance,
            "errors": self.errors,
            "violated-policies": self.violated_policies,
        }
        return body | {name: value for name, value in optional.items() if value}


class MalformedRequest(Problem):
    """Raised when the body is not strict JSON (UTF-8, no duplicate keys, no NaN, not too deep), or a header or query
    parameter cannot be read."""

    status, title = 400, "Malformed request"


class Unauthenticated(Problem):
    """Raised when there is no bearer token or it fails any check; the response never says which."""

    status, title = 401, "Not authenticated"

    def __init__(self, reason: str) -> None:
        super().__init__(
            "Send a valid, unexpired Cognito access token as 'Authorization: Bearer <token>'.",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )
        #: For the log only: telling a caller which check failed would help it to get past that check.
        self.reason = reason


class InsufficientScope(Problem):
    """Raised when the token is valid but lacks the scope that the route or the job type requires."""

    status, title = 403, "Insufficient scope"

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"This needs an access token with the scope {scope!r}.",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
        )


class NotFound(Problem):
    """Raised for an unknown route, and for a job that does not exist or belongs to another caller."""

    status, title = 404, "Not found"


class MethodNotAllowed(Problem):
    """Raised when the path does not support the method; ``Allow`` lists the methods that it supports."""

    status, title = 405, "Method not allowed"


class NotAcceptable(Problem):
    """Raised when ``Accept`` rules out JSON, the only format served."""

    status, title = 406, "Not acceptable"


class PayloadTooLarge(Problem):
    """Raised when the body exceeds `ROUTER_MAX_BODY_BYTES`, or that of a batch `ROUTER_MAX_BATCH_BYTES`."""

    status, title = 413, "Payload too large"


class UnsupportedMediaType(Problem):
    """Raised when ``Content-Type`` is not plain ``application/json`` in UTF-8."""

    status, title = 415, "Unsupported media type"


class InvalidJob(Problem):
    """Raised when the JSON is well formed but does not fit the job's model; ``errors`` points to each field."""

    status, title = 422, "Invalid job"


class IdempotencyKeyReused(Problem):
    """Raised when an ``Idempotency-Key`` was already used with a different body."""

    status, title = 422, "Idempotency key reused"


class RateLimited(Problem):
    """Raised when the caller exceeds its rate; ``Retry-After`` says when the next job is allowed."""

    status, title = 429, "Rate limit exceeded"
    type_uri = IANA_PROBLEM_TYPES + "quota-exceeded"


class TooManyOpenJobs(Problem):
    """Raised when the caller has reached the limit of unfinished jobs."""

    status, title = 429, "Too many open jobs"


class TooMuchStored(Problem):
    """Raised when the caller's jobs, waiting and kept, have reached the limit of stored bytes."""

    status, title = 429, "Too much stored"


class InternalError(Problem):
    """Raised for an unexpected error; the log has its place in the code, under the request id."""

    status, title = 500, "Internal error"


class Misconfigured(Problem):
    """Raised when a setting is missing or malformed; the log names the variable, the value and the fix."""

    status, title = 500, "Service misconfigured"

    def __init__(self, detail: str = "", *, reason: str | None = None) -> None:
        super().__init__(detail)
        #: Names the setting, for the log.
        self.reason = reason


class InvalidParameter(Problem):
    """Raised when a member of a request to the OpenAI API is missing, invalid or not supported."""

    status, title = 400, "Invalid parameter"

    def __init__(
        self,
        detail: str = "",
        *,
        param: str | None = None,
        code: str = "invalid_value",
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(detail, errors=errors)
        #: The member and the kind of fault, as OpenAI's errors name them.
        self.param, self.code = param, code


class PreviousResponseNotFound(Problem):
    """Raised when ``previous_response_id``, or an earlier response of its conversation, does not exist any more."""

    status, title = 400, "Previous response not found"
    param: ClassVar[str] = "previous_response_id"


class ModelNotFound(Problem):
    """Raised when a request names a model that is not in `ROUTER_MODELS`."""

    status, title = 404, "Model not found"
    param: ClassVar[str] = "model"


class TooManyHeld(Problem):
    """Raised when a response has to be held or streamed, and the caller or the service has as many as it may."""

    status, title = 429, "Too many responses held"


class JobNotCompleted(Problem):
    """Raised when the job of a chat completion failed, expired or was cancelled."""

    status, title = 500, "Job not completed"

    def __init__(self, detail: str = "", *, code: str = "failed") -> None:
        super().__init__(detail)
        #: The job's own error code, or its status.
        self.code = code


class StillRunning(Problem):
    """Raised when a response was not ready in the time that it could be held; repeat the request, or fetch it later."""

    status, title = 503, "Still running"


class QueueFull(Problem):
    """Raised when the queue, its share for delayed jobs or Redis's memory is full; nothing was stored."""

    status, title = 503, "Queue full"
    type_uri = IANA_PROBLEM_TYPES + "temporary-reduced-capacity"


class QueueUnavailable(Problem):
    """Raised when Redis did not confirm that it stored or read the job; repeat with the same ``Idempotency-Key``."""

    status, title = 503, "Queue unavailable"


class EncryptionUnavailable(Problem):
    """Raised when the service's encryption key is unavailable; nothing was stored, and no result is lost."""

    status, title = 503, "Encryption unavailable"


class SigningKeysUnavailable(Problem):
    """Raised when the user pool's signing keys, or the ids of its further clients, could not be fetched and none are
    cached."""

    status, title = 503, "Signing keys unavailable"
