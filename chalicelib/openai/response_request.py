"""The body of ``POST /v1/responses``.

Source: OpenAI API reference, "Create a model response", and the types of its Python client.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, JsonValue, StringConstraints, Tag, model_validator

from chalicelib.jobs.chat_input import MAX_TOOLS, Effort, FunctionName, PlainFormat, choice_of
from chalicelib.openai.input_items import Input
from chalicelib.openai.members import Only, require_stream
from lambda_router_queue.models import Closed, MetadataKey, MetadataValue

_Short = Annotated[str, StringConstraints(max_length=512)]


class FunctionTool(Closed):
    """A function that the model may call."""

    type: Literal["function"]
    name: FunctionName
    description: str | None = None
    parameters: dict[str, JsonValue] | None = None
    strict: bool | None = None
    async_: Annotated[Any, Only(False)] = Field(default=None, alias="async", exclude=True)
    defer_loading: Annotated[Any, Only(False)] = Field(default=None, exclude=True)
    allowed_callers: Annotated[Any, Only(["direct"])] = Field(default=None, exclude=True)
    output_schema: Annotated[Any, Only()] = Field(default=None, exclude=True)


class NamedFunction(Closed):
    """The function that the model must call."""

    type: Literal["function"]
    name: FunctionName


class SchemaFormat(Closed):
    """JSON that fits a schema."""

    model_config = ConfigDict(serialize_by_alias=True)

    type: Literal["json_schema"]
    name: FunctionName
    schema_: dict[str, JsonValue] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class TextOptions(Closed):
    """The form of the model's text."""

    format: Annotated[PlainFormat | SchemaFormat, Field(discriminator="type")] | None = None
    verbosity: Annotated[Any, Only("medium")] = None


class Reasoning(Closed):
    """How much the model should think."""

    effort: Effort | None = None
    summary: Annotated[Any, Only()] = None
    generate_summary: Annotated[Any, Only()] = None
    context: Annotated[Any, Only("auto")] = None
    mode: Annotated[Any, Only("standard")] = None


class BackgroundOptions(Closed):
    """When a response in the background has to be there. A later one has low priority."""

    completion_window: Literal["soonest", "2h", "8h"] | None = None
    continuation_id: Annotated[Any, Only()] = None


class StreamOptions(Closed):
    """How a response is streamed."""

    include_obfuscation: Annotated[Any, Only(False)] = None


_ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("word")] | Annotated[NamedFunction, Tag("function")],
    Discriminator(choice_of),
]


class ResponseRequest(Closed):
    """A response to be generated. Every member that it does not have is refused."""

    model: str = Field(description="One of `GET /v1/models`.")
    input: Input = Field(description="A text, or items: messages, function calls, their outputs, reasoning.")
    instructions: str | None = Field(default=None, description="Goes before the input. Not kept for a next response.")
    previous_response_id: str | None = Field(
        default=None, description="A completed response whose conversation goes on."
    )
    background: bool | None = Field(default=None, description="Respond at once, without waiting for the model.")
    background_options: BackgroundOptions | None = Field(
        default=None, description="`completion_window`: `soonest`, `2h` or `8h`; the later two have low priority."
    )
    store: bool | None = Field(
        default=None, description="`false`: the response can be read once, within ten minutes, and then is gone."
    )
    stream: bool | None = Field(
        default=None, description="`true`: server-sent events. Only where responses are streamed."
    )
    stream_options: StreamOptions | None = Field(default=None, description="Only with `stream: true`.")
    metadata: dict[MetadataKey, MetadataValue] | None = Field(
        default=None, max_length=16, description="Up to 16 pairs of your own."
    )
    max_output_tokens: int | None = Field(
        default=None, ge=1, description="Default: the most that the deployment allows (`ROUTER_MAX_TOKENS`)."
    )
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    tools: list[FunctionTool] | None = Field(
        default=None, max_length=MAX_TOOLS, description="Functions. OpenAI's own tools are refused."
    )
    tool_choice: _ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = Field(default=None, description="`format`: `text`, `json_object` or `json_schema`.")
    reasoning: Reasoning | None = Field(default=None, description="`effort`, for models that know it.")
    user: _Short | None = Field(default=None, description="Returned with the response.")
    safety_identifier: _Short | None = Field(default=None, description="Returned with the response.")
    prompt_cache_key: _Short | None = Field(default=None, description="Returned with the response.")
    service_tier: Annotated[Any, Only("auto", "default")] = None
    truncation: Annotated[Any, Only("disabled")] = None
    conversation: Annotated[Any, Only()] = None
    prompt: Annotated[Any, Only()] = None
    include: Annotated[Any, Only([])] = None
    top_logprobs: Annotated[Any, Only(0)] = None
    max_tool_calls: Annotated[Any, Only()] = None
    context_management: Annotated[Any, Only()] = None
    moderation: Annotated[Any, Only()] = None
    prompt_cache_retention: Annotated[Any, Only("in_memory")] = None
    prompt_cache_options: Annotated[Any, Only()] = None
    access_programs: Annotated[Any, Only()] = None
    image: Annotated[Any, Only()] = None

    @model_validator(mode="after")
    def _has_options_of_streams_only(self) -> Self:
        require_stream(self.stream, self.stream_options)
        return self

    @model_validator(mode="after")
    def _waits_in_background_only(self) -> Self:
        window = self.background_options and self.background_options.completion_window
        if window in {"2h", "8h"} and not self.background:
            raise ValueError(f"background_options.completion_window {window!r} needs background: true")
        return self


#: ``ttl_seconds`` of jobs with a later completion window, which have low priority.
WINDOW_SECONDS = {"2h": 2 * 3600, "8h": 8 * 3600}


class StoredRequest(Closed):
    """What a job's record keeps of the request.

    Attributes:
        ancestors: ids of the jobs of earlier responses of the conversation, the first one first.
        ancestors_bytes: bytes that their records keep of their requests.
    """

    request: ResponseRequest
    ancestors: list[str] = Field(default_factory=list)
    ancestors_bytes: int = 0

    def as_json(self) -> str:
        return self.model_dump_json(exclude_unset=True)

    @classmethod
    def from_json(cls, text: str) -> "StoredRequest":
        """Raises ValueError if the text is not one of ours."""
        return cls.model_validate_json(text)


def function_of(tool: FunctionTool) -> dict[str, Any]:
    """Return a tool as chat completions have it."""
    return {"type": "function", "function": tool.model_dump(exclude={"type"}, exclude_none=True)}
