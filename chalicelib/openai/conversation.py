"""The earlier turns of a conversation, read from the records of its responses."""

from collections.abc import Sequence
from typing import NamedTuple

from chalicelib.errors import InvalidParameter, PreviousResponseNotFound
from chalicelib.jobs.job_queue import MAX_DATA_KEYS, JobQueue, TooManyDataKeys
from chalicelib.jobs.job_records import Record
from chalicelib.observability import log
from chalicelib.openai.chat_results import answer_of
from chalicelib.openai.input_items import FunctionCall, Item, MessageItem, ReasoningItem, ReasoningText, items_of
from chalicelib.openai.response_object import call_id_of, job_id_of, response_id_of
from chalicelib.openai.response_request import StoredRequest

MAX_ANCESTORS = 64
#: Bytes of requests that are read for one conversation: each repeats its tools. The items themselves fit into a chat.
MAX_ANCESTORS_BYTES = 4 * 1024 * 1024


class Conversation(NamedTuple):
    """What was said before.

    Attributes:
        ancestors: ids of the jobs of its responses, the first one first.
        ancestors_bytes: bytes that their records keep of their requests.
    """

    ancestors: Sequence[str] = ()
    ancestors_bytes: int = 0
    items: Sequence[Item] = ()


def conversation_of(queue: JobQueue, owner: str, previous_response_id: str | None) -> Conversation:
    """Read the caller's conversation up to that response: one round trip for it, and one for those before it.

    Raises:
        PreviousResponseNotFound: one of them does not exist, is not the caller's, or is not completed.
        InvalidParameter: the conversation is too long.
    """
    if previous_response_id is None:
        return Conversation()
    job_id = job_id_of(previous_response_id)
    parent = queue.record(owner, job_id, "look")
    stored = _usable(parent, previous_response_id)
    ancestors = stored.ancestors
    if len(ancestors) >= MAX_ANCESTORS:
        raise _too_long(f"it has {MAX_ANCESTORS} responses before this one, the most that are read")
    ancestors_bytes = stored.ancestors_bytes + len((parent and parent.openai) or "")
    if ancestors_bytes > MAX_ANCESTORS_BYTES:
        raise _too_long(f"its requests have {ancestors_bytes:,} bytes; at most {MAX_ANCESTORS_BYTES:,} are read")
    try:
        earlier = queue.records(owner, ancestors) if ancestors else []
    except TooManyDataKeys:
        raise _too_long(f"it is encrypted under more than {MAX_DATA_KEYS} data keys") from None
    items: list[Item] = []
    for each_id, record in zip([*ancestors, job_id], [*earlier, parent], strict=True):
        items += _turn(record, _usable(record, response_id_of(each_id)))
    return Conversation([*ancestors, job_id], ancestors_bytes, items)


def stored_request(record: Record) -> StoredRequest | None:
    """Return the request of a response's job; None for a job of another API."""
    try:
        return StoredRequest.from_json(record.openai) if record.openai else None
    except ValueError:
        log.error("unreadable_record", extra={"job_id": record.job.id, "error": "openai"})
        return None


def _usable(record: Record | None, response_id: str) -> StoredRequest:
    stored = stored_request(record) if record else None
    if record is None or stored is None:
        raise PreviousResponseNotFound(
            f"You have no response {response_id[:64]!r}: it expired, was deleted, or never was."
        )
    if record.job.status != "completed" or record.job.result is None:
        raise PreviousResponseNotFound(f"The response {response_id!r} is {record.job.status}, and has no output.")
    return stored


def _turn(record: Record | None, stored: StoredRequest) -> list[Item]:
    """Return the input and the output of one response."""
    items = items_of(stored.request.input)
    if record is None:
        return items
    answer = answer_of(record.job.result)
    if answer.reasoning:
        thought = ReasoningText(type="reasoning_text", text=answer.reasoning)
        items.append(ReasoningItem(type="reasoning", content=[thought]))
    if answer.text:
        items.append(MessageItem(role="assistant", content=answer.text))
    items += [
        FunctionCall.model_construct(
            type="function_call",
            call_id=call_id_of(record.job.id, place, call),
            name=call.name,
            arguments=call.arguments,
        )
        for place, call in enumerate(answer.calls)
    ]
    return items


def _too_long(why: str) -> InvalidParameter:
    return InvalidParameter(
        f"The conversation is too long: {why}. Start a new one with its items as input.",
        param="previous_response_id",
        code="conversation_too_long",
    )
