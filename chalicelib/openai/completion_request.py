"""The body of ``POST /v1/chat/completions``.

Source: OpenAI API reference, "Create chat completion", and the types of its Python client.
"""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from chalicelib.jobs.chat_input import (
    MAX_MESSAGES,
    MAX_TOOLS,
    Effort,
    ResponseFormat,
    Tool,
    ToolChoice,
)
from chalicelib.jobs.sampling import Stop
from chalicelib.openai.completion_messages import Message
from chalicelib.openai.members import Only, require_stream
from lambda_router_queue.models import Closed, MetadataKey, MetadataValue


class StreamOptions(Closed):
    """How a chat completion is streamed."""

    include_usage: bool | None = Field(default=None, description="A last chunk gives the counts of tokens.")
    include_obfuscation: Annotated[Any, Only(False)] = None


class CompletionRequest(Closed):
    """A chat to be continued. Every member that it does not have is refused."""

    model: str = Field(description="One of `GET /v1/models`.")
    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_completion_tokens: int | None = Field(
        default=None, ge=1, description="Default: the most that the deployment allows (`ROUTER_MAX_TOKENS`)."
    )
    max_tokens: int | None = Field(default=None, ge=1, description="The older name of `max_completion_tokens`.")
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    seed: int | None = Field(default=None, ge=0, le=2**31 - 1)
    stop: Stop | None = None
    tools: list[Tool] | None = Field(default=None, max_length=MAX_TOOLS)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None
    metadata: dict[MetadataKey, MetadataValue] | None = Field(
        default=None, max_length=16, description="Up to 16 pairs of your own, returned with the job."
    )
    stream: bool | None = Field(
        default=None, description="`true`: server-sent events. Only where responses are streamed."
    )
    stream_options: StreamOptions | None = Field(default=None, description="`include_usage`. Only with `stream: true`.")
    store: bool | None = Field(default=None, description="`false`: the answer is deleted when it is read.")
    user: str | None = Field(default=None, description="Accepted, and not passed on.")
    safety_identifier: str | None = Field(default=None, description="Accepted, and not passed on.")
    prompt_cache_key: str | None = Field(default=None, description="Accepted, and not passed on.")
    n: Annotated[Any, Only(1)] = None
    service_tier: Annotated[Any, Only("auto", "default")] = None
    verbosity: Annotated[Any, Only("medium")] = None
    logprobs: Annotated[Any, Only(False)] = None
    top_logprobs: Annotated[Any, Only(0)] = None
    logit_bias: Annotated[Any, Only({})] = None
    modalities: Annotated[Any, Only(["text"])] = None
    audio: Annotated[Any, Only()] = None
    prediction: Annotated[Any, Only()] = None
    web_search_options: Annotated[Any, Only()] = None
    moderation: Annotated[Any, Only()] = None
    prompt_cache_retention: Annotated[Any, Only("in_memory")] = None
    prompt_cache_options: Annotated[Any, Only()] = None
    function_call: Annotated[Any, Only("none", "auto")] = None
    functions: Annotated[Any, Only([])] = None

    @model_validator(mode="after")
    def _has_options_of_streams_only(self) -> Self:
        require_stream(self.stream, self.stream_options)
        return self

    @model_validator(mode="after")
    def _has_one_limit(self) -> Self:
        if self.max_tokens and self.max_completion_tokens and self.max_tokens != self.max_completion_tokens:
            raise ValueError("max_tokens and max_completion_tokens differ: send one of them")
        return self


#: Members of a chat job's input that have the same name.
SAME = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "model",
)
