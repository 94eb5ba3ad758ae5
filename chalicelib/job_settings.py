"""The settings of jobs: number, size, waiting time and attempts."""

import json
from typing import Annotated, Any, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from chalicelib.limits import MAX_STREAM_SECONDS
from chalicelib.setting_values import is_host, queues_by_model, split_commas
from lambda_router_queue.models import (
    DEFAULT_TIMEOUT_SECONDS,
    DEFAULT_TTL_SECONDS,
    MAX_REST_SECONDS,
    MAX_TTL_SECONDS,
    MIN_TTL_SECONDS,
    RetryPolicy,
)

#: The most time that all attempts at one job may take together. The scripts allow a day for it in ``LONGEST_LIFE``,
#: after which a caller's list drops a job.
MAX_WORK_SECONDS = 86_400

TimeoutSeconds = Annotated[int, Field(ge=1, le=43_200)]
Attempts = Annotated[int, Field(ge=1, le=20)]
PauseSeconds = Annotated[int, Field(ge=0, le=MAX_REST_SECONDS)]
TtlSeconds = Annotated[int, Field(ge=MIN_TTL_SECONDS, le=MAX_TTL_SECONDS)]


class InputLimits(NamedTuple):
    """Limits on the size of an input; the defaults are those of the settings."""

    prompt_bytes: int = 6_144
    chat_bytes: int = 512 * 1024
    max_tokens: int = 4_096
    image_hosts: tuple[str, ...] = ()
    models: tuple[str, ...] = ("tinyllama",)


class BodyLimits(NamedTuple):
    """Limits on the bytes of a request body; the defaults are those of the settings."""

    job: int = 1024 * 1024
    batch: int = 2 * 1024 * 1024


class JobTerms(NamedTuple):
    """Timeout, retries and waiting time of the jobs of one type."""

    timeout_seconds: int
    retry: RetryPolicy
    ttl_seconds: int

    def but(
        self, timeout_seconds: int | None = None, retry: RetryPolicy | None = None, ttl_seconds: int | None = None
    ) -> "JobTerms":
        """Return these terms with the given values replaced."""
        return JobTerms(
            timeout_seconds=self.timeout_seconds if timeout_seconds is None else timeout_seconds,
            retry=self.retry if retry is None else retry,
            ttl_seconds=self.ttl_seconds if ttl_seconds is None else ttl_seconds,
        )

    def fault(self) -> str | None:
        """Return the reason why no job could be processed on these terms, or None."""
        attempts, first, longest = self.retry.attempts, self.retry.first_delay_ms, self.retry.longest_delay_ms
        work = attempts * (self.timeout_seconds + MAX_REST_SECONDS)
        if work > MAX_WORK_SECONDS:
            return (
                f"{attempts} attempts of {self.timeout_seconds} s, each with the rest of {MAX_REST_SECONDS} s that a"
                f" model server may ask for, take {work} s: lower the attempts or the timeout, the most is"
                f" {MAX_WORK_SECONDS} s"
            )
        if first > longest:
            return (
                f"the first pause is {first / 1000:g} s and the longest {longest / 1000:g} s: raise the longest or"
                " lower the first"
            )
        return None


class TypeTerms(BaseModel):
    """One job type's entry in ``ROUTER_JOB_TYPES``; omitted members keep the values for all types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    timeout_seconds: TimeoutSeconds | None = None
    attempts: Attempts | None = None
    retry_first_seconds: PauseSeconds | None = None
    retry_longest_seconds: PauseSeconds | None = None
    ttl_seconds: TtlSeconds | None = None

    def over(self, terms: JobTerms) -> JobTerms:
        """Return the given terms, overridden by the members of this entry."""
        pauses = {"first_delay_ms": self.retry_first_seconds, "longest_delay_ms": self.retry_longest_seconds}
        said = {name: seconds * 1000 for name, seconds in pauses.items() if seconds is not None}
        if self.attempts is not None:
            said["attempts"] = self.attempts
        return terms.but(self.timeout_seconds, terms.retry.model_copy(update=said), self.ttl_seconds)


def types_from_json(value: object) -> Any:
    """Parse the value of ``ROUTER_JOB_TYPES``."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError(f"must be a JSON object: {error}") from None


_INPUT, _BODY = InputLimits(), BodyLimits()


class JobSettings(BaseModel):
    """The settings of jobs, a base of ``chalicelib.settings.Settings``."""

    model_config = ConfigDict(defer_build=True)

    router_queue_cap: int = Field(
        default=10_000,
        ge=1,
        le=10_000_000,
        description="Open jobs that a queue may hold: waiting, delayed, waiting for a retry or running; above: 503.",
    )
    router_open_jobs_cap: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="Open jobs that one caller may have in a queue; above: 429.",
    )
    router_newcomers_percent: int = Field(
        default=10,
        ge=0,
        le=50,
        description="Part of each cap of a queue that only callers without an open job may use, in percent. With"
        " `ROUTER_QUEUE_CAP` at 10,000 and 10 here, the last 1,000 places are theirs.",
    )
    router_delayed_percent: int = Field(
        default=50,
        ge=1,
        le=100,
        description="Part of `ROUTER_QUEUE_CAP` that jobs with `delay_seconds` may fill before their time has come, in"
        " percent; above: 503.",
    )
    router_caller_bytes_cap: int = Field(
        default=64 * 1024 * 1024,
        ge=4 * 1024 * 1024,
        le=2**40,
        description="Bytes that one caller's jobs may take in a queue, waiting and kept, results included; above: 429.",
    )
    router_queue_bytes_cap: int = Field(
        default=512 * 1024 * 1024,
        ge=4 * 1024 * 1024,
        le=2**40,
        description="Bytes that all jobs of one queue may take, waiting and kept, results included; above: 503. Redis"
        " needs about half as much again.",
    )
    router_job_timeout_seconds: TimeoutSeconds = Field(
        default=DEFAULT_TIMEOUT_SECONDS,
        description="Seconds that one attempt at a job may take. With its pauses, a job may run for a day:"
        " attempts times (this + 3,600) is at most 86,400.",
    )
    router_job_attempts: Attempts = Field(default=3, description="Attempts at a job before it fails.")
    router_retry_first_seconds: PauseSeconds = Field(
        default=2, description="Longest pause before the second attempt; it doubles with each further one."
    )
    router_retry_longest_seconds: PauseSeconds = Field(
        default=60, description="Longest pause before any attempt, unless the model server asks for more."
    )
    router_ttl_seconds: TtlSeconds = Field(
        default=DEFAULT_TTL_SECONDS,
        description="Seconds that a job may wait to be started if its caller sends no `ttl_seconds`.",
    )
    router_job_types: Annotated[dict[str, TypeTerms], BeforeValidator(types_from_json)] = Field(
        default={},
        description="What differs for single job types, as JSON: for each `timeout_seconds`, `attempts`,"
        " `retry_first_seconds`, `retry_longest_seconds` and `ttl_seconds`, in the same bounds.",
        examples=['{"generate": {"timeout_seconds": 900, "attempts": 2}}'],
    )
    router_models: Annotated[dict[str, str], BeforeValidator(queues_by_model)] = Field(
        default={},
        description="Models that callers may name, comma-separated: `name` or `name=queue`. Without a queue it is"
        " `ROUTER_QUEUE`; unset: one model, named like `ROUTER_QUEUE`.",
        examples=["tinyllama,phi-3=phi"],
    )
    router_events_seconds: int = Field(
        default=600,
        ge=60,
        le=86_400,
        description="Seconds for which the live output of a job can be read again once the job is final, but never"
        " longer than the job.",
    )
    router_stream_seconds: int = Field(
        default=300,
        ge=30,
        le=MAX_STREAM_SECONDS,
        description="Seconds that the OpenAI API may take over one response where responses are streamed. Where they"
        " are not, it holds a response for at most 25.",
    )
    router_max_body_bytes: int = Field(
        default=_BODY.job,
        ge=1_024,
        le=2 * 1024 * 1024,
        description="Bytes that the body of one job may have; above: 413. Lambda takes 6 MB of event, in which the body"
        " is a JSON string that may need two bytes for one.",
    )
    router_max_batch_bytes: int = Field(
        default=_BODY.batch,
        ge=1_024,
        le=2 * 1024 * 1024,
        description="Bytes that the body of a batch may have, not below `ROUTER_MAX_BODY_BYTES`; above: 413.",
    )
    router_max_prompt_bytes: int = Field(
        default=_INPUT.prompt_bytes,
        ge=1,
        le=2 * 1024 * 1024,
        description="Bytes of UTF-8 that `prompt`, and that `system`, may have, not above `ROUTER_MAX_BODY_BYTES`.",
    )
    router_max_chat_bytes: int = Field(
        default=_INPUT.chat_bytes,
        ge=1,
        le=2 * 1024 * 1024,
        description="Bytes that the messages, tools and `response_format` of a chat may have together as JSON, not"
        " above `ROUTER_MAX_BODY_BYTES`.",
    )
    router_image_hosts: Annotated[
        tuple[Annotated[str, AfterValidator(is_host)], ...], BeforeValidator(split_commas)
    ] = Field(
        default=(),
        description="Hosts from which a chat's images may come, comma-separated; unset: images as data URLs only. The"
        " model server fetches such an image, inside the network that it is in.",
        examples=["images.example.com"],
    )
    router_max_tokens: int = Field(
        default=_INPUT.max_tokens,
        ge=256,
        le=1_000_000,
        description="Most that a job may ask for as `max_tokens`; 256 where it asks for none. They have to be made"
        " within `ROUTER_JOB_TIMEOUT_SECONDS`.",
    )

    @property
    def job_terms(self) -> JobTerms:
        """The terms of jobs whose type sets none of its own."""
        retry = RetryPolicy(
            attempts=self.router_job_attempts,
            first_delay_ms=self.router_retry_first_seconds * 1000,
            longest_delay_ms=self.router_retry_longest_seconds * 1000,
        )
        return JobTerms(self.router_job_timeout_seconds, retry, self.router_ttl_seconds)

    @property
    def body_limits(self) -> BodyLimits:
        return BodyLimits(self.router_max_body_bytes, self.router_max_batch_bytes)

    @property
    def input_limits(self) -> InputLimits:
        return InputLimits(
            self.router_max_prompt_bytes, self.router_max_chat_bytes, self.router_max_tokens, self.router_image_hosts
        )

    @model_validator(mode="after")
    def _terms_can_be_kept(self) -> Self:
        if fault := self.job_terms.fault():
            raise ValueError(f"ROUTER_JOB_TIMEOUT_SECONDS, ROUTER_JOB_ATTEMPTS, ROUTER_RETRY_…_SECONDS: {fault}")
        for name, said in self.router_job_types.items():
            if fault := said.over(self.job_terms).fault():
                raise ValueError(f"ROUTER_JOB_TYPES: {name}: {fault}")
        return self

    @model_validator(mode="after")
    def _sizes_fit_into_each_other(self) -> Self:
        body = self.router_max_body_bytes
        for name in ("router_max_prompt_bytes", "router_max_chat_bytes"):
            if (size := getattr(self, name)) > body:
                raise ValueError(
                    f"{name.upper()} is {size} but ROUTER_MAX_BODY_BYTES is {body}: raise the body's or lower this one"
                )
        if self.router_max_batch_bytes < body:
            raise ValueError(
                f"ROUTER_MAX_BATCH_BYTES is {self.router_max_batch_bytes} but ROUTER_MAX_BODY_BYTES is {body}: raise"
                " the batch's, or no batch takes such a job"
            )
        return self
