"""The items of a response's input. What the API returned as ``output`` is valid here, too.

Source: OpenAI API reference, "Create a model response", ``input``.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, StringConstraints, Tag, model_validator

from chalicelib.jobs.chat_input import MAX_MESSAGES, MAX_PARTS, CalledName, form_of
from chalicelib.openai.members import Only
from lambda_router_queue.models import Closed

_Text = Annotated[str, StringConstraints(min_length=1)]
MAX_ID = 128
_Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID)]
_Status = Literal["in_progress", "completed", "incomplete"]


class InputText(Closed):
    """A part of a message: text."""

    type: Literal["input_text"]
    text: str


class InputImage(Closed):
    """A part of a message: an image as a data URL, or at a host that the deployment allows."""

    type: Literal["input_image"]
    image_url: _Text
    detail: Literal["auto", "low", "high"] | None = None
    file_id: Annotated[Any, Only()] = None


class OutputText(Closed):
    """A part of the model's message, sent back. Its annotations and log probabilities are not passed on."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class Refusal(Closed):
    """The model's refusal, sent back."""

    type: Literal["refusal"]
    refusal: str


_Part = Annotated[InputText | InputImage | OutputText | Refusal, Field(discriminator="type")]


_Content = Annotated[
    Annotated[str, Tag("text")] | Annotated[list[_Part], Field(min_length=1, max_length=MAX_PARTS), Tag("parts")],
    Discriminator(form_of),
]


class MessageItem(Closed):
    """A message. The model's own contains text; images come from users only."""

    type: Literal["message"] = "message"
    role: Literal["user", "system", "developer", "assistant"]
    content: _Content
    id: _Id | None = None
    status: _Status | None = None
    phase: Literal["commentary", "final_answer"] | None = None

    @model_validator(mode="after")
    def _shows_images_of_users(self) -> Self:
        parts = self.content if isinstance(self.content, list) else []
        if self.role != "user" and any(isinstance(part, InputImage) for part in parts):
            raise ValueError(f"a message of the role {self.role!r} must not contain images")
        return self


class FunctionCall(Closed):
    """A call that the model made."""

    type: Literal["function_call"]
    call_id: _Id
    name: CalledName
    arguments: str
    id: _Id | None = None
    status: _Status | None = None
    async_: Annotated[Any, Only(False)] = Field(default=None, alias="async", exclude=True)
    caller: Annotated[Any, Only({"type": "direct"})] = Field(default=None, exclude=True)
    namespace: Annotated[Any, Only()] = Field(default=None, exclude=True)


class FunctionCallOutput(Closed):
    """What a call returned."""

    type: Literal["function_call_output"]
    call_id: _Id
    output: Annotated[
        Annotated[str, Tag("text")]
        | Annotated[list[InputText], Field(min_length=1, max_length=MAX_PARTS), Tag("parts")],
        Discriminator(form_of),
    ]
    id: _Id | None = None
    status: _Status | None = None
    name: str | None = Field(default=None, description="Accepted, and not passed on.", exclude=True)
    caller: Annotated[Any, Only({"type": "direct"})] = Field(default=None, exclude=True)
    namespace: Annotated[Any, Only()] = Field(default=None, exclude=True)


class SummaryText(Closed):
    """A part of a reasoning item's summary."""

    type: Literal["summary_text"]
    text: str


class ReasoningText(Closed):
    """A part of a reasoning item."""

    type: Literal["reasoning_text"]
    text: str


class ReasoningItem(Closed):
    """What the model thought, sent back."""

    type: Literal["reasoning"]
    summary: list[SummaryText] = Field(default_factory=list, max_length=MAX_PARTS)
    content: list[ReasoningText] | None = Field(default=None, max_length=MAX_PARTS)
    encrypted_content: Annotated[Any, Only()] = None
    id: _Id | None = None
    status: _Status | None = None


def _with_type(item: Any) -> Any:
    """Return the item with its ``type``. OpenAI lets callers omit a message's."""
    is_message = isinstance(item, dict) and "role" in item and item.get("type") is None
    return item | {"type": "message"} if is_message else item


InputItem = Annotated[
    MessageItem | FunctionCall | FunctionCallOutput | ReasoningItem,
    Field(discriminator="type"),
    BeforeValidator(_with_type),
]


Input = Annotated[
    Annotated[_Text, Tag("text")]
    | Annotated[list[InputItem], Field(min_length=1, max_length=MAX_MESSAGES), Tag("items")],
    Discriminator(lambda value: "items" if isinstance(value, list) else "text"),
]

type Item = MessageItem | FunctionCall | FunctionCallOutput | ReasoningItem


def items_of(given: str | Sequence[Item]) -> list[Item]:
    """Return the items of an input. A text is a message of the user."""
    if isinstance(given, str):
        return [MessageItem(role="user", content=given)]
    return list(given)
