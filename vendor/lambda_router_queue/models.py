"""Requests, queued jobs and responses. Frozen models, no I/O."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

Priority = Literal["high", "normal", "low"]
Status = Literal["queued", "in_progress", "completed", "failed", "cancelled", "expired"]

FINAL_STATUSES: frozenset[Status] = frozenset({"completed", "failed", "cancelled", "expired"})

#: Version of the envelope and of every key; a worker rejects a version that it does not know.
PROTOCOL_VERSION = 1

#: Seconds that a job may wait to be started: default (if neither its caller nor a setting says so), minimum, maximum.
DEFAULT_TTL_SECONDS, MIN_TTL_SECONDS, MAX_TTL_SECONDS = 300, 10, 86_400
#: Seconds that an attempt may take if neither its job type nor a setting says otherwise.
DEFAULT_TIMEOUT_SECONDS = 300
#: The longest rest before a job is tried again, even if a model server asks for a longer one.
MAX_REST_SECONDS = 3_600

MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]


class Closed(BaseModel):
    """A frozen model that rejects unknown members and NaN.

    Validators are built at first use: few requests need all models.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class JobRequest(Closed):
    """The members that every job type's request has besides its own ``input``."""

    type: str
    input: Any
    priority: Priority = Field(default="normal", description="Which jobs start first.")
    delay_seconds: int = Field(
        default=0,
        ge=0,
        le=86_400,
        description="Seconds before the job joins the line; it may wait `ttl_seconds` from then.",
    )
    ttl_seconds: int = Field(
        default=DEFAULT_TTL_SECONDS,
        ge=MIN_TTL_SECONDS,
        le=MAX_TTL_SECONDS,
        description="Seconds the job may wait to be started before it expires.",
    )
    metadata: dict[MetadataKey, MetadataValue] = Field(
        default_factory=dict,
        max_length=16,
        description="Up to 16 pairs of your own, returned with the job.",
    )
    store: bool = Field(
        default=True,
        description="False: the result is deleted when it is first read, and no dead letter holds the input.",
    )


class RetryPolicy(BaseModel):
    """The number of attempts, and the pauses between them: exponential backoff with full jitter in these bounds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    attempts: int = Field(default=3, ge=1)
    first_delay_ms: int = Field(default=2_000, ge=0)
    longest_delay_ms: int = Field(default=60_000, ge=0)


class Envelope(BaseModel):
    """A job as it waits in a stream for a worker, as JSON. Times are milliseconds since 1970, by the server's clock.

    A worker ignores members that it does not know, so that a newer router may add some.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    v: int
    id: str
    type: str
    queue: str
    input: dict[str, JsonValue] = Field(default_factory=dict)
    encrypted_input: str | None = None
    owner: str
    priority: Priority
    created_at: int
    deadline_at: int
    metadata: dict[str, str]
    request_id: str
    traceparent: str
    timeout_ms: int = Field(default=DEFAULT_TIMEOUT_SECONDS * 1000, ge=1)
    retry: RetryPolicy = Field(default_factory=RetryPolicy)
    store: bool = True

    @model_validator(mode="after")
    def _has_one_input(self) -> Self:
        if ("input" in self.model_fields_set) == (self.encrypted_input is not None):
            raise ValueError("wants one of input and encrypted_input")
        return self


#: Limits of an error's message and code in UTF-8, so that a page of errors fits through Lambda. Longer ones are cut,
#: wherever they come from: ``lambda_router_worker/outcomes.py``, ``lua/record.lua`` (a test compares them).
MAX_ERROR_MESSAGE_BYTES = 4096
MAX_ERROR_CODE_BYTES = 64


class JobError(Closed):
    """The reason why a job failed, in words meant for its caller."""

    code: str
    message: str


class Job(Closed):
    """A job as its caller sees it. Times are RFC 3339 in UTC with milliseconds."""

    id: str = Field(pattern=r"^job_[0-9a-f]{32}$")
    object: Literal["job"] = "job"
    type: str
    queue: str
    status: Status
    priority: Priority
    created_at: str = Field(json_schema_extra={"format": "date-time"})
    started_at: str | None = Field(default=None, json_schema_extra={"format": "date-time"})
    finished_at: str | None = Field(default=None, json_schema_extra={"format": "date-time"})
    expires_at: str = Field(
        description="A job not started by then becomes `expired`.", json_schema_extra={"format": "date-time"}
    )
    attempts: int = Field(default=0, ge=0, description="Number of times that a worker has started it.")
    position: int | None = Field(default=None, ge=1, description="Place in line while it waits; 1 is next.")
    estimated_start_at: str | None = Field(
        default=None,
        description="From measured service times and live workers; null when nothing is known.",
        json_schema_extra={"format": "date-time"},
    )
    result: JsonValue = None
    error: JobError | None = None
    last_error: JobError | None = Field(
        default=None, description="Why the previous attempt failed, while the job is being retried."
    )
    metadata: dict[str, str] = Field(default_factory=dict)
    store: bool = Field(default=True, description="False: `result` is null for all but the first who reads it.")
    request_id: str


class TextResult(BaseModel):
    """The model's answer, as the bundled worker returns it."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    text: str
    finish_reason: str | None = Field(default=None, description="Why the model stopped, in the server's words.")
    model: str | None = Field(default=None, description="The model's name, as the server gave it.")
    usage: dict[str, JsonValue] | None = Field(default=None, description="Counts of tokens, as the server gave them.")
    tool_calls: list[dict[str, JsonValue]] = Field(default_factory=list, description="Absent if the model made none.")


class ChatMessage(BaseModel):
    """A message of the assistant, in OpenAI's form."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    role: Literal["assistant"]
    content: str | None
    tool_calls: list[dict[str, JsonValue]] = Field(default_factory=list, description="Absent if the model made none.")
    reasoning_content: str | None = Field(default=None, description="What the model thought, if the server says so.")


class ChatResult(TextResult):
    """The model's answer in a chat, as the bundled worker returns it."""

    message: ChatMessage


class BatchItem(Closed):
    """The verdict on one job of a batch: its job (without a result; GET it), or the problem that rejected it."""

    status: int = Field(description="202 when the job was stored, else the problem's status.")
    job: Job | None = None
    problem: dict[str, JsonValue] | None = None
    retry_after: int | None = Field(default=None, ge=1, description="Seconds after which to try again.")


class BatchVerdicts(Closed):
    """One verdict per job, in the order sent."""

    object: Literal["batch"] = "batch"
    data: list[BatchItem]


class JobPage(Closed):
    """One page of a caller's jobs, newest first."""

    object: Literal["list"] = "list"
    data: list[Job]
    has_more: bool
    next_cursor: str | None = Field(description="Send it as `cursor` to get the next page; null on the last.")
    stopped_early: bool = Field(
        description="The page ended before it had `limit` jobs, though there may be more: one request looks at no more"
        " than 500 jobs and returns about 512 KiB of results. Go on with `next_cursor`."
    )


def rfc3339(milliseconds: int) -> str:
    """Format milliseconds since 1970 as RFC 3339 in UTC: ``2026-11-23T08:15:30.123Z``."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='milliseconds')}Z"
