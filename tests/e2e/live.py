"""What the tests of live output share: a stack whose model speaks word by word, clients, and the rules of a stream."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import httpx
from openai import AsyncOpenAI, OpenAI

from tests.e2e.calling_model import MODEL, CallingModel
from tests.e2e.running_stack import RunningStack
from tests.patience import eventually

FINAL = {"response.completed", "response.incomplete", "response.failed"}
FINAL_STATUSES = {"completed", "incomplete", "failed", "cancelled"}


class Live(NamedTuple):
    """A stack and the model that its worker asks."""

    stack: RunningStack
    model: CallingModel

    @property
    def url(self) -> str:
        return f"{self.stack.url}/v1"

    def client(self, user: str, **options: Any) -> OpenAI:
        """Raises for an event that the client's types do not allow."""
        key = self.stack.token(user)
        return OpenAI(base_url=self.url, api_key=key, _strict_response_validation=True, max_retries=0, **options)

    def async_client(self, user: str) -> AsyncOpenAI:
        key = self.stack.token(user)
        return AsyncOpenAI(base_url=self.url, api_key=key, _strict_response_validation=True, max_retries=0)

    def started(self, caller: OpenAI, prompt: str, words: int = 1, **members: Any) -> str:
        """The id of a response in the background that has so many words."""
        response = caller.responses.create(model=MODEL, input=prompt, background=True, **members)
        self.model.let_go(prompt, words)
        with closing(retrieve(caller, response.id)) as stream:
            read_words(deltas(stream), words)
        return response.id

    def final(self, caller: OpenAI, response_id: str) -> Any:
        """The response, once it is final."""

        def look() -> Any:
            response = caller.responses.retrieve(response_id)
            return response if response.status in FINAL_STATUSES else None

        return eventually(look, 30)


def create(caller: OpenAI | AsyncOpenAI, prompt: str, **members: Any) -> Any:
    """The stream of a new response."""
    return caller.responses.create(model=MODEL, input=prompt, stream=True, **members)


def retrieve(caller: OpenAI, response_id: str, **parameters: Any) -> Any:
    """The stream of a response that is there."""
    return caller.responses.retrieve(response_id, stream=True, **parameters)


def deltas(events: Iterable[Any]) -> Iterator[str]:
    """The text as it comes."""
    return (event.delta for event in events if event.type == "response.output_text.delta")


def read_words(pieces: Iterator[str], words: int) -> str:
    """Read until there are so many words."""
    text = ""
    while len(text.split()) < words:
        piece = next(pieces, None)
        assert piece is not None, f"the stream ended after {text!r}"
        text += piece
    return text


def whole(events: Sequence[Any]) -> str:
    """The text of a whole stream, which keeps the rules."""
    kinds = [event.type for event in events]
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert [place for place, kind in enumerate(kinds) if kind in FINAL] == [len(kinds) - 1]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.response.status for event in events[:3]] == ["queued", "queued", "in_progress"]
    text = "".join(deltas(events))
    assert [event.text for event in events if event.type == "response.output_text.done"] == [text] * bool(text)
    assert events[-1].response.output_text == text
    items = [event.item.to_dict() for event in events if event.type == "response.output_item.done"]
    assert items == [item.to_dict() for item in events[-1].response.output]
    return text


def events_of(caller: httpx.Client, job_id: str, **parameters: str) -> Any:
    """A page of events as JSON."""
    reply = caller.get(f"/v1/jobs/{job_id}/events", params=parameters, headers={"Accept": "application/json"})
    assert reply.status_code == 200, reply.text
    return reply.json()


def all_events(caller: httpx.Client, job_id: str) -> list[dict[str, Any]]:
    """Page by page, until the job is final."""
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] != "job":
        after = {"after": events[-1]["id"]} if events else {}
        events += events_of(caller, job_id, **after)["data"]
    return events


def text(events: Sequence[dict[str, Any]]) -> str:
    """The text since the last attempt began."""
    pieces: list[str] = []
    for event in events:
        if event["type"] == "restarted":
            pieces = []
        elif event["type"] == "delta":
            pieces.append(event["delta"].get("text", ""))
    return "".join(pieces)
