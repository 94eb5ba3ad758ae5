"""Translation of a response's items into the messages of a chat."""

from collections.abc import Iterable
from typing import Any

from chalicelib.openai.input_items import (
    FunctionCall,
    FunctionCallOutput,
    InputImage,
    Item,
    MessageItem,
    ReasoningItem,
    Refusal,
)

type Message = dict[str, Any]


class UnknownCall(Exception):
    """An output names a call that no item before it made. The argument is its ``call_id``."""


def messages_of(instructions: str | None, items: Iterable[Item]) -> list[Message]:
    """Return the messages: the instructions first, then the items in order.

    What the model said, thought and called in one turn becomes one message. ``developer`` becomes ``system``: to the
    templates of model servers it is the same role, and most know no other name for it. Messages without text are left
    out: chat jobs do not accept them.

    Raises:
        UnknownCall: the model server would reject the chat.
    """
    messages: list[Message] = [{"role": "system", "content": instructions}] if instructions else []
    calls: set[str] = set()
    turn: Message | None = None
    for item in items:
        if isinstance(item, FunctionCallOutput):
            if item.call_id not in calls:
                raise UnknownCall(item.call_id)
            messages.append({"role": "tool", "tool_call_id": item.call_id, "content": _text_of(item.output)})
            turn = None
        elif isinstance(item, MessageItem) and item.role != "assistant":
            messages.append({"role": "user" if item.role == "user" else "system", "content": _content(item)})
            turn = None
        else:
            if turn is None:
                turn = {"role": "assistant"}
                messages.append(turn)
            if isinstance(item, FunctionCall):
                calls.add(item.call_id)
            _add_to_turn(turn, item)
    return [message for message in messages if _says_something(message)]


def _says_something(message: Message) -> bool:
    """Return whether a message has content; a thought without an answer has none. Outputs of calls may be empty."""
    return bool(message.get("content") or message.get("tool_calls")) or message["role"] == "tool"


def _add_to_turn(turn: Message, item: MessageItem | FunctionCall | ReasoningItem) -> None:
    if isinstance(item, FunctionCall):
        function = {"name": item.name, "arguments": item.arguments}
        turn.setdefault("tool_calls", []).append({"id": item.call_id, "type": "function", "function": function})
    elif isinstance(item, MessageItem):
        if text := _text_of(item.content):
            turn["content"] = turn.get("content", "") + text
    elif thought := "".join(part.text for part in item.content or item.summary):
        turn["reasoning_content"] = turn.get("reasoning_content", "") + thought


def _content(message: MessageItem) -> Any:
    """Return a message's content; texts alone as one text, which the templates of small models need."""
    if isinstance(message.content, str):
        return message.content
    if not any(isinstance(part, InputImage) for part in message.content):
        return _text_of(message.content)
    return [_part(part) for part in message.content if isinstance(part, InputImage) or _text_of([part])]


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, InputImage):
        detail = {"detail": part.detail} if part.detail else {}
        return {"type": "image_url", "image_url": {"url": part.image_url} | detail}
    return {"type": "text", "text": _text_of([part])}


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.refusal if isinstance(part, Refusal) else part.text for part in content)
