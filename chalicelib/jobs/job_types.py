"""The registry of job types. To add one, write its input model and add a line to ``JOB_TYPES``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, create_model

from chalicelib.job_settings import InputLimits, JobTerms
from chalicelib.jobs.sampling import Sampling, fits, max_tokens
from chalicelib.settings import Settings, SettingsError
from lambda_router_queue.models import (
    DEFAULT_TIMEOUT_SECONDS,
    DEFAULT_TTL_SECONDS,
    MAX_TTL_SECONDS,
    MIN_TTL_SECONDS,
    ChatResult,
    JobRequest,
    RetryPolicy,
    TextResult,
)


def generate_input(limits: InputLimits) -> type[BaseModel]:
    """Return the model of the input of ``generate`` jobs for a deployment's limits."""
    most = limits.prompt_bytes

    class GenerateInput(Sampling):
        """One prompt, one answer."""

        max_tokens: int = max_tokens(limits)
        prompt: Annotated[str, StringConstraints(min_length=1), AfterValidator(fits(most))] = Field(
            description=f"1 to {most:,} bytes of UTF-8."
        )
        system: Annotated[str, StringConstraints(min_length=1), AfterValidator(fits(most))] | None = Field(
            default=None, description="Instructions that go before the prompt."
        )

    return GenerateInput


def chat_input(limits: InputLimits) -> type[BaseModel]:
    """Return the model of the input of ``chat`` jobs for a deployment's limits."""
    from chalicelib.jobs.chat_input import chat_input  # deferred: its twenty models are not needed for a cold start

    return chat_input(limits)


type InputModel = type[BaseModel] | Callable[[InputLimits], type[BaseModel]]


@dataclass(frozen=True)
class JobType:
    """One kind of job.

    Attributes:
        name: the ``type`` that callers send.
        input_model: the model of the ``input`` that they send, or a function that builds it for a deployment's limits.
        result_model: the model of the result that its worker returns, for the OpenAPI document; None for any JSON.
        queue: the queue of its jobs; None for the setting ``ROUTER_QUEUE``.
        scope: a scope required besides ``ROUTER_SCOPE``, or None.
        timeout_seconds: how long one attempt may run; None for the setting ``ROUTER_JOB_TIMEOUT_SECONDS``.
        retry: the number of attempts and the pauses between them; None for ``ROUTER_JOB_ATTEMPTS`` and
            ``ROUTER_RETRY_…``.
        ttl_seconds: how long a job may wait if its caller does not say; None for ``ROUTER_TTL_SECONDS``.
        limits: limits on the size of its input, if its model uses them.
    """

    name: str
    input_model: InputModel
    result_model: type[BaseModel] | None = None
    queue: str | None = None
    scope: str | None = None
    timeout_seconds: int | None = None
    retry: RetryPolicy | None = None
    ttl_seconds: int | None = None
    limits: InputLimits = field(default_factory=InputLimits)

    def under(self, settings: Settings) -> "JobType":
        """Return the type with a deployment's settings applied.

        ``ROUTER_JOB_TYPES`` comes first, then the type's own values, then the settings for all types.

        Raises:
            SettingsError: no job could be processed on these terms.
        """
        terms = settings.job_terms.but(self.timeout_seconds, self.retry, self.ttl_seconds)
        if said := settings.router_job_types.get(self.name):
            terms = said.over(terms)
        if fault := terms.fault():
            raise SettingsError(f"the settings are not usable:\n  job type {self.name}: {fault}")
        limits = settings.input_limits._replace(models=tuple(settings.models))
        return replace(self, **terms._asdict(), limits=limits)

    @cached_property
    def terms(self) -> dict[str, Any]:
        """The members of every envelope that say how to process the job."""
        terms = self._terms
        return {"timeout_ms": terms.timeout_seconds * 1000, "retry": terms.retry.model_dump()}

    @cached_property
    def request_model(self) -> type[JobRequest]:
        """The model of the whole body: the members that all jobs share, with this type's ``type`` and ``input``."""
        name: Any = Literal[self.name]
        ttl = JobRequest.model_fields["ttl_seconds"]
        return create_model(
            f"{self.name.title().replace('-', '').replace('_', '')}JobRequest",
            __base__=JobRequest,
            __doc__=self.input_type.__doc__,
            type=(name, ...),
            input=(self.input_type, ...),
            ttl_seconds=(
                int,
                Field(
                    default=self._terms.ttl_seconds, ge=MIN_TTL_SECONDS, le=MAX_TTL_SECONDS, description=ttl.description
                ),
            ),
        )

    @cached_property
    def input_type(self) -> type[BaseModel]:
        """The model of ``input``, built at first use: few requests need all of them."""
        made = self.input_model
        return made if isinstance(made, type) else made(self.limits)

    @property
    def _terms(self) -> JobTerms:
        usual = JobTerms(DEFAULT_TIMEOUT_SECONDS, RetryPolicy(), DEFAULT_TTL_SECONDS)
        return usual.but(self.timeout_seconds, self.retry, self.ttl_seconds)


def registry(*job_types: JobType) -> Mapping[str, JobType]:
    return {job_type.name: job_type for job_type in job_types}


def under(settings: Settings, job_types: Mapping[str, JobType]) -> Mapping[str, JobType]:
    """Return the types with a deployment's settings applied.

    Raises:
        SettingsError: a named type does not exist, or its jobs could not be processed on these terms.
    """
    if strays := sorted(settings.router_job_types.keys() - job_types.keys()):
        known = ", ".join(sorted(job_types))
        raise SettingsError(
            f"the settings are not usable:\n  ROUTER_JOB_TYPES: {strays[0]!r} is no job type; there are {known}"
        )
    return {name: job_type.under(settings) for name, job_type in job_types.items()}


JOB_TYPES = registry(
    JobType(name="generate", input_model=generate_input, result_model=TextResult),
    JobType(name="chat", input_model=chat_input, result_model=ChatResult),
)
