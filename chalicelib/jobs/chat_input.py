"""The input of ``chat`` jobs: members of OpenAI's chat completions, which every model server takes.

Source: OpenAI API reference, "Create chat completion".
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_core import to_json

from chalicelib.job_settings import InputLimits
from chalicelib.jobs.sampling import Sampling, max_tokens
from lambda_router_queue.images import image_fault
from lambda_router_queue.models import Closed

MAX_MESSAGES = 1_024
MAX_PARTS = 64
MAX_TOOLS = 128

#: What OpenAI accepts as the name of a function.
FunctionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
#: A called name is the model's own word, and need not be the name of a function. The chat goes on all the same.
CalledName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
_Text = Annotated[str, StringConstraints(min_length=1)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class TextPart(Closed):
    """A part of a message: text."""

    type: Literal["text"]
    text: _Text


class ImageUrl(Closed):
    """An image as a data URL, or at a host that the deployment allows."""

    url: _Text
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Closed):
    """A part of a message: an image."""

    type: Literal["image_url"]
    image_url: ImageUrl


def form_of(value: Any) -> str:
    """Tell the forms of a member apart, so that errors are about the one that the caller chose."""
    return "parts" if isinstance(value, list) else "text"


_Parts = Annotated[list[TextPart], Field(min_length=1, max_length=MAX_PARTS), Tag("parts")]
_UserPart = Annotated[TextPart | ImagePart, Field(discriminator="type")]
_UserParts = Annotated[list[_UserPart], Field(min_length=1, max_length=MAX_PARTS), Tag("parts")]
_Content = Annotated[Annotated[_Text, Tag("text")] | _Parts, Discriminator(form_of)]
_UserContent = Annotated[Annotated[_Text, Tag("text")] | _UserParts, Discriminator(form_of)]
_Reply = Annotated[Annotated[str, Tag("text")] | _Parts, Discriminator(form_of)]


class SystemMessage(Closed):
    """Instructions. Servers without the role ``developer`` reject it; ``system`` is the same to others."""

    role: Literal["system", "developer"]
    content: _Content
    name: _Name | None = None


class UserMessage(Closed):
    """A turn of the user."""

    role: Literal["user"]
    content: _UserContent
    name: _Name | None = None


class CalledFunction(Closed):
    """A function with the arguments that the model gave it, as JSON in a string."""

    name: CalledName
    arguments: str


class ToolCall(Closed):
    """A call that the model made in an earlier turn."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    type: Literal["function"]
    function: CalledFunction


class AssistantMessage(Closed):
    """A turn of the model."""

    role: Literal["assistant"]
    content: _Content | None = None
    tool_calls: Annotated[list[ToolCall], Field(min_length=1, max_length=MAX_TOOLS)] | None = None
    reasoning_content: str | None = None
    name: _Name | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and self.tool_calls is None:
            raise ValueError("wants content, tool_calls or both")
        return self


class ToolMessage(Closed):
    """What a call returned."""

    role: Literal["tool"]
    content: _Reply
    tool_call_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class Function(Closed):
    """A function that the model may call."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, JsonValue] | None = Field(default=None, description="A JSON schema.")
    strict: bool | None = None


class Tool(Closed):
    """A tool that the model may use; only functions are supported."""

    type: Literal["function"]
    function: Function


class _Named(Closed):
    name: FunctionName


class NamedTool(Closed):
    """The function that the model must call."""

    type: Literal["function"]
    function: _Named


def choice_of(value: Any) -> str:
    """Tell the forms of ``tool_choice`` apart."""
    return "word" if isinstance(value, str) else "function"


_Word = Annotated[Literal["none", "auto", "required"], Tag("word")]
ToolChoice = Annotated[_Word | Annotated[NamedTool, Tag("function")], Discriminator(choice_of)]


class PlainFormat(Closed):
    """Text, or any JSON object."""

    type: Literal["text", "json_object"]


class JsonSchema(Closed):
    """A named JSON schema."""

    model_config = ConfigDict(serialize_by_alias=True)

    name: FunctionName
    description: str | None = None
    schema_: dict[str, JsonValue] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class SchemaFormat(Closed):
    """JSON that fits a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[PlainFormat | SchemaFormat, Field(discriminator="type")]


def chat_input(limits: InputLimits) -> type[BaseModel]:
    """Return the model of the input for a deployment's limits."""
    most = limits.chat_bytes

    class ChatInput(Sampling):
        """A conversation, continued."""

        model: str | None = Field(default=None, description=f"One of {', '.join(limits.models)}; it has its own queue.")
        max_tokens: int = max_tokens(limits)
        messages: list[Message] = Field(
            min_length=1,
            max_length=MAX_MESSAGES,
            description=f"At most {most:,} bytes of JSON, tools and response_format included.",
        )
        tools: list[Tool] | None = Field(default=None, min_length=1, max_length=MAX_TOOLS)
        tool_choice: ToolChoice | None = None
        parallel_tool_calls: bool | None = None
        response_format: ResponseFormat | None = None
        reasoning_effort: Effort | None = None

        @model_validator(mode="after")
        def _is_whole(self) -> "ChatInput":
            _check_size([self.messages, self.tools, self.response_format], most)
            _check_choice(self.tool_choice, self.tools or [])
            _check_images(self.messages, limits.image_hosts)
            return self

        @field_validator("model")
        @classmethod
        def _is_served(cls, model: str | None) -> str | None:
            if model is not None and model not in limits.models:
                raise ValueError(f"must be one of {', '.join(limits.models)}")
            return model

    return ChatInput


def _check_size(parts: Sequence[Any], most: int) -> None:
    size = sum(len(to_json(part, exclude_none=True)) for part in parts if part is not None)
    if size > most:
        raise ValueError(f"messages, tools and response_format must be at most {most} bytes in all; found {size}")


def _check_choice(choice: Any, tools: Sequence[Tool]) -> None:
    if choice not in {None, "none"} and not tools:
        raise ValueError("tool_choice needs tools")
    names = [tool.function.name for tool in tools]
    if isinstance(choice, NamedTool) and choice.function.name not in names:
        raise ValueError(f"tool_choice names the function {choice.function.name!r}; tools has {', '.join(names)}")


def _check_images(messages: Sequence[Any], hosts: Sequence[str]) -> None:
    for message in messages:
        parts = message.content if isinstance(message.content, list) else []
        for part in parts:
            if isinstance(part, ImagePart) and (fault := image_fault(part.image_url.url, hosts)):
                raise ValueError(fault)
