"""The registry of job types. To add one: write its input model, add a line to ``JOB_TYPES``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, create_model, model_validator

from chalicelib.models import Closed, JobRequest, RetryPolicy

MAX_PROMPT_BYTES = 6_144
MAX_CHAT_BYTES = 32 * 1024


def _prompt_fits(value: str) -> str:
    size = len(value.encode())
    if size > MAX_PROMPT_BYTES:
        raise ValueError(f"must be at most {MAX_PROMPT_BYTES} bytes of UTF-8; shorten it by {size - MAX_PROMPT_BYTES}")
    return value


Prompt = Annotated[str, StringConstraints(min_length=1), AfterValidator(_prompt_fits)]


class Sampling(Closed):
    """How tokens are drawn; the members that OpenAI-compatible servers share. Unset: the model's own default."""

    max_tokens: int = Field(default=256, ge=1, le=4_096, description="Most tokens to generate.")
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: list[Annotated[str, StringConstraints(min_length=1, max_length=256)]] | None = Field(
        default=None, min_length=1, max_length=4, description="Up to 4 texts that end the generation."
    )
    seed: int | None = Field(default=None, ge=0, le=2**31 - 1)


class GenerateInput(Sampling):
    """One prompt, one answer."""

    prompt: Prompt = Field(description="1 to 6,144 bytes of UTF-8.")
    system: Prompt | None = Field(default=None, description="Instructions that go before the prompt.")


class ChatMessage(Closed):
    role: Literal["system", "user", "assistant"]
    content: Annotated[str, StringConstraints(min_length=1)]


class ChatInput(Sampling):
    """A conversation, continued."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=64, description="At most 32 KiB of UTF-8 in all.")

    @model_validator(mode="after")
    def _fits(self) -> "ChatInput":
        size = sum(len(message.content.encode()) for message in self.messages)
        if size > MAX_CHAT_BYTES:
            raise ValueError(
                f"the messages' contents must be at most {MAX_CHAT_BYTES} bytes of UTF-8 in all; found {size}"
            )
        return self


@dataclass(frozen=True)
class JobType:
    """One kind of work.

    Attributes:
        name: what callers send as ``type``.
        input_model: what they send as ``input``.
        queue: where it waits; None for the setting ``ROUTER_QUEUE``.
        scope: a scope asked for beside ``ROUTER_SCOPE``, or None.
        timeout_seconds: how long one attempt may run.
        retry: how often it is tried, and how far apart.
    """

    name: str
    input_model: type[BaseModel]
    queue: str | None = None
    scope: str | None = None
    timeout_seconds: int = 300
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    @cached_property
    def terms(self) -> dict[str, Any]:
        """What every envelope says of how to work it."""
        return {"timeout_ms": self.timeout_seconds * 1000, "retry": self.retry.model_dump()}

    @cached_property
    def request_model(self) -> type[JobRequest]:
        """The whole body: the members that all jobs share, with this type's ``type`` and ``input``."""
        name: Any = Literal[self.name]
        return create_model(
            f"{self.name.title().replace('-', '').replace('_', '')}JobRequest",
            __base__=JobRequest,
            __doc__=self.input_model.__doc__,
            type=(name, ...),
            input=(self.input_model, ...),
        )


def registry(*job_types: JobType) -> Mapping[str, JobType]:
    return {job_type.name: job_type for job_type in job_types}


JOB_TYPES = registry(
    JobType(name="generate", input_model=GenerateInput),
    JobType(name="chat", input_model=ChatInput),
)
