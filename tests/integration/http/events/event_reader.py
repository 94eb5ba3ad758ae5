"""A worker that emits one step at a time, and readers of what it has emitted."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from lambda_router_worker.queue.work_queue import Lease, Pieces
from tests.conftest import Reply, Router
from tests.integration.worker.worker_hand import begin_job, work_queue

JSON = {"Accept": "application/json"}


class Event(NamedTuple):
    """An event as a browser has it."""

    id: str
    type: str
    data: Any


class Hand:
    """A worker that does one step of one job at a time."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        self.lease: Lease = begin_job(redis_url)
        self._next = 1

    def emit(self, *deltas: Any) -> None:
        """Emit objects, or texts in one piece each."""
        shown = [{"text": delta} if isinstance(delta, str) else delta for delta in deltas]
        texts = [json.dumps(delta, ensure_ascii=False) for delta in shown]
        pieces = Pieces(self.lease, self._next, texts)
        self._next += len(deltas)
        assert self._done(lambda queue: queue.emit([pieces])) == ["stored"]

    def finish(self, result: Any = "done") -> None:
        assert self._done(lambda queue: queue.complete(self.lease, json.dumps(result))) == "done"

    def retry(self) -> None:
        assert self._done(lambda queue: queue.retry(self.lease, 0, 3, "busy", "Once more.")) == "scheduled"
        assert self._done(lambda queue: queue.promote()) is not None
        self.lease, self._next = begin_job(self._url), 1

    def _done(self, step: Callable[[Any], Any]) -> Any:
        async def run() -> Any:
            async with work_queue(self._url, prepare=False) as queue:
                return await step(queue)

        return asyncio.run(run())


def pages_of(router: Router, path: str, after: str = "", **options: Any) -> Iterator[list[dict[str, Any]]]:
    """The events of each page, up to the job."""
    has_more = True
    while has_more:
        page = router.get(path, headers=JSON, query={"after": [after]} if after else None, **options).json
        has_more = page["has_more"]
        after = page["data"][-1]["id"] if page["data"] else after
        yield page["data"]


def everything(router: Router, path: str, after: str = "") -> list[dict[str, Any]]:
    return [event for page in pages_of(router, path, after) for event in page]


def events_of(reply: Reply) -> list[Event]:
    """The events as the HTML standard has a browser read them (section 9.2.6)."""
    assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream"), reply.body
    assert reply.body.endswith("\n\n")
    records = [dict(line.split(": ", 1) for line in record.split("\n")) for record in reply.body[:-2].split("\n\n")]
    assert records[0].keys() == {"retry"}
    return [Event(record["id"], record["event"], json.loads(record["data"])) for record in records[1:]]


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(event["delta"].get("text", "") for event in events if event["type"] == "delta")


@contextmanager
def asking(router: Router, path: str, **options: Any) -> Iterator[list[Reply]]:
    """A request that is being held, and its answer once there is one."""
    replies: list[Reply] = []
    thread = threading.Thread(target=lambda: replies.append(router.get(path, headers=JSON, **options)))
    thread.start()
    try:
        yield replies
    finally:
        thread.join(30)


def everything_there(router: Router, path: str, after: str = "") -> list[dict[str, Any]]:
    """The first page."""
    return next(pages_of(router, path, after))
