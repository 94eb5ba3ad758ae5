"""The messages of a chat completion: what chat jobs accept, and what clients send besides.

They send back what completions contain, and texts that are empty.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from chalicelib.jobs.chat_input import MAX_PARTS, MAX_TOOLS, ImagePart, ToolCall, form_of
from chalicelib.openai.members import Only
from lambda_router_queue.models import Closed

_Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class SentText(Closed):
    """A part of a message: text."""

    type: Literal["text"]
    text: str


class SentRefusal(Closed):
    """The model's refusal, sent back."""

    type: Literal["refusal"]
    refusal: str


_Count = Field(min_length=1, max_length=MAX_PARTS)
_Text = Annotated[str, Tag("text")]
_Texts = Annotated[_Text | Annotated[list[SentText], _Count, Tag("parts")], Discriminator(form_of)]
_UserPart = Annotated[SentText | ImagePart, Field(discriminator="type")]
_ModelPart = Annotated[SentText | SentRefusal, Field(discriminator="type")]


class SentSystem(Closed):
    """Instructions."""

    role: Literal["system", "developer"]
    content: _Texts
    name: _Name | None = None


class SentUser(Closed):
    """A turn of the user."""

    role: Literal["user"]
    content: Annotated[_Text | Annotated[list[_UserPart], _Count, Tag("parts")], Discriminator(form_of)]
    name: _Name | None = None


class SentCall(ToolCall):
    """A call that the model made; its place in a stream is not passed on."""

    index: int | None = Field(default=None, exclude=True)


class SentBack(Closed):
    """A turn of the model."""

    role: Literal["assistant"]
    content: Annotated[_Text | Annotated[list[_ModelPart], _Count, Tag("parts")], Discriminator(form_of)] | None = None
    tool_calls: list[SentCall] | None = Field(default=None, max_length=MAX_TOOLS)
    reasoning_content: str | None = None
    name: _Name | None = None
    refusal: str | None = Field(default=None, exclude=True)
    annotations: Annotated[Any, Only([])] = Field(default=None, exclude=True)
    audio: Annotated[Any, Only()] = Field(default=None, exclude=True)
    function_call: Annotated[Any, Only()] = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and self.refusal is None and not self.tool_calls:
            raise ValueError("wants content, tool_calls or both")
        return self


class SentOutput(Closed):
    """What a call returned."""

    role: Literal["tool"]
    content: _Texts
    tool_call_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    name: str | None = Field(default=None, description="Accepted, and not passed on.", exclude=True)


Message = Annotated[SentSystem | SentUser | SentBack | SentOutput, Field(discriminator="role")]


def chat_messages(messages: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the messages as chat jobs have them, without those that are empty: chat jobs do not accept them."""
    given = [_chat_message(message) for message in messages]
    return [message for message in given if message.keys() & {"content", "tool_calls"}]


def _chat_message(message: Any) -> dict[str, Any]:
    sent: dict[str, Any] = message.model_dump(exclude={"content"}, exclude_none=True)
    content = _content(message.content)
    if isinstance(message, SentBack):
        content = content or message.refusal
        if not message.tool_calls:
            sent.pop("tool_calls", None)
    elif isinstance(message, SentOutput):
        return sent | {"content": content or ""}
    elif message.role == "developer":
        sent["role"] = "system"  # the same role to the templates of model servers, which know it by this name
    return sent | ({"content": content} if content else {})


def _content(content: Any) -> Any:
    """Return the content without parts that are empty."""
    if not isinstance(content, list):
        return content
    parts = [
        {"type": "text", "text": part.refusal} if isinstance(part, SentRefusal) else part.model_dump(exclude_none=True)
        for part in content
    ]
    return [part for part in parts if part.get("text") != ""]
