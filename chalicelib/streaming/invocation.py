"""An invocation as the Runtime API describes it, and the context that the app gets with its event."""

import time
from collections.abc import Mapping
from http.client import HTTPMessage
from typing import NamedTuple

#: The time of an invocation that comes without a usable deadline: API Gateway's limit for functions that do not stream.
WITHOUT_DEADLINE_SECONDS = 29.0


class Invocation(NamedTuple):
    """One event, still as JSON.

    Attributes:
        ends: seconds since the epoch; Lambda then stops the process.
        arn: of the function or alias that was invoked.
        trace: X-Ray's header, empty if there is none.
    """

    request_id: str
    event: bytes
    ends: float
    arn: str
    trace: str

    @classmethod
    def of(cls, request_id: str, headers: HTTPMessage, event: bytes) -> "Invocation":
        """Return the invocation that a reply of the Runtime API describes."""
        deadline_ms = headers.get("Lambda-Runtime-Deadline-Ms", "")
        is_usable = deadline_ms.isascii() and deadline_ms.isdecimal()
        ends = int(deadline_ms) / 1000 if is_usable else time.time() + WITHOUT_DEADLINE_SECONDS
        arn = headers.get("Lambda-Runtime-Invoked-Function-Arn", "")
        return cls(request_id, event, ends, arn, headers.get("Lambda-Runtime-Trace-Id", ""))

    def seconds_left(self) -> float:
        """Return the seconds until Lambda stops the process; never below zero."""
        return max(0.0, self.ends - time.time())


class Context:
    """The members of Lambda's context object, and that responses can be streamed."""

    #: Read by ``chalicelib.api.streamed.can_stream``.
    streams_responses = True
    # Of invocations by a mobile application's SDK only.
    client_context = identity = None

    def __init__(self, invocation: Invocation, environ: Mapping[str, str]) -> None:
        self._invocation = invocation
        self.aws_request_id = invocation.request_id
        self.invoked_function_arn = invocation.arn
        self.function_name = environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
        self.function_version = environ.get("AWS_LAMBDA_FUNCTION_VERSION", "")
        self.memory_limit_in_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
        self.log_group_name = environ.get("AWS_LAMBDA_LOG_GROUP_NAME", "")
        self.log_stream_name = environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda stops the process."""
        return int(self._invocation.seconds_left() * 1000)
