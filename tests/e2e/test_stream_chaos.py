"""Workers, Redis and the app die in any order, while readers come and go: none takes a wrong text for whole."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.e2e.calling_model import MODEL, text_of
from tests.e2e.live import FINAL, create, retrieve
from tests.e2e.site import Site, job_of, running_site

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(240)]

SECONDS = 30.0
WIDE = {
    "ROUTER_CALLER_WAITS_CAP": "500",
    "ROUTER_WAITS_CAP": "500",
    "ROUTER_RATE_PER_MINUTE": "10000",
    "ROUTER_RATE_BURST": "1000",
    "ROUTER_JOB_ATTEMPTS": "20",
    "ROUTER_RETRY_FIRST_SECONDS": "0",
    "ROUTER_RETRY_LONGEST_SECONDS": "0",
}
WORKER = ("--lease-seconds", "3", "--concurrency", "6", "--max-deaths", "50")
AWAY = (openai.InternalServerError, openai.APIConnectionError, httpx.TransportError)


class Readers:
    """Readers of each kind, each in a thread of its own.

    Attributes:
        faults: what no reader may see.
        seen: how often something was read.
    """

    def __init__(self, chance: random.Random) -> None:
        self.faults: list[Any] = []
        self.seen: Counter[str] = Counter()
        self._chance = chance
        self._threads: list[threading.Thread] = []

    def start(self, read: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=read, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)

    def join(self, seconds: float) -> int:
        """How many readers have not come to an end."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return sum(thread.is_alive() for thread in self._threads)

    def native(self, caller: httpx.Client, job_id: str) -> None:
        text = ""
        for event in self._native_events(caller, job_id):
            if event["type"] == "restarted":
                text = ""
            elif event["type"] == "delta":
                text += event["delta"]["text"]
            else:
                self._judge("native", event["job"]["status"], text, (event["job"]["result"] or {}).get("text"))

    def response(self, caller: OpenAI, response_id: str) -> None:
        number, text = -1, ""
        for event in self._response_events(caller, response_id):
            if event.sequence_number != number + 1:
                self.faults.append(("number", response_id, number, event.to_dict()))
            number = event.sequence_number
            if event.type == "response.output_text.delta":
                text += event.delta
            elif event.type in FINAL:
                self._judge("response", event.response.status, text, event.response.output_text)

    def _judge(self, kind: str, status: str, read: str, whole: str | None) -> None:
        self.seen[f"{kind} {status}"] += 1
        if status == "completed" and read != whole:
            self.faults.append((kind, read, whole))

    def _native_events(self, caller: httpx.Client, job_id: str) -> Iterator[Any]:
        """Yield events of page after page; of some pages only the first ones are read."""
        after = ""
        while True:
            try:
                headers = {"Accept": "application/json"}
                reply = caller.get(f"/v1/jobs/{job_id}/events", params={"after": after}, headers=headers)
                page = reply.raise_for_status().json()["data"]
            except (httpx.TransportError, httpx.HTTPStatusError) as error:
                self.seen[f"native: {type(error).__name__}"] += 1
                time.sleep(0.2)
                continue
            for event in page:
                if self._chance.random() < 0.1:
                    break
                after = event["id"]
                yield event
                if event["type"] == "job":
                    return

    def _response_events(self, caller: OpenAI, response_id: str) -> Iterator[Any]:
        """Yield events of stream after stream; some are cut off by the reader."""
        behind: dict[str, int] = {}
        while True:
            try:
                with closing(retrieve(caller, response_id, **behind)) as events:
                    for event in events:
                        behind = {"starting_after": event.sequence_number}
                        yield event
                        if event.type in FINAL:
                            return
                        if self._chance.random() < 0.02:
                            break
                    else:
                        self.faults.append(("looked whole", response_id, behind))
                        return
            except (*AWAY, openai.APIError) as error:
                code = getattr(error, "code", None)
                self.seen[f"response: {code}"] += 1
                if code == "restarted":
                    return
                time.sleep(0.2)

    def chat(self, caller: OpenAI, prompt: str) -> None:
        messages: list[Any] = [{"role": "user", "content": prompt}]
        try:
            chunks = list(caller.chat.completions.create(model=MODEL, messages=messages, stream=True))
        except (*AWAY, openai.APIError) as error:
            self.seen[f"chat: {getattr(error, 'code', None)}"] += 1
            return
        self.seen["chat whole"] += 1
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        if text not in {text_of(prompt, attempt) for attempt in range(1, 21)}:
            self.faults.append(("chat", prompt, text))


def break_something(site: Site, chance: random.Random, workers: list[Any]) -> None:
    """Kill, stop or freeze a part; it is back at the end."""
    what = chance.choice(["redis", "app", "worker", "worker", "frozen", "frozen"])
    if what == "redis":
        site.server.kill()
        time.sleep(chance.uniform(0.1, 1.5))
        site.server.restart()
    elif what == "app":
        site.app.kill()
        site.app.wait()
        site.app = site.parts.start_app()
    elif what == "worker":
        workers.pop(0).send_signal(chance.choice([signal.SIGKILL, signal.SIGTERM]))
        workers.append(site.parts.start_worker(*WORKER))
    else:
        worker = chance.choice(workers)
        worker.send_signal(signal.SIGSTOP)
        time.sleep(chance.uniform(0.5, 5))
        worker.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("seed", [1, 2])
def test_no_reader_takes_a_wrong_text_for_whole(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    readers = Readers(random.Random(seed))
    with running_site(tmp_path, **WIDE) as site:
        workers = [site.parts.start_worker(*WORKER) for _ in range(3)]
        caller, curl = site.client("ann"), site.caller("ann")
        until = time.monotonic() + SECONDS

        def trouble() -> None:
            while time.monotonic() < until:
                time.sleep(chance.uniform(0.8, 2.5))
                break_something(site, chance, workers)

        troubles = threading.Thread(target=trouble)
        troubles.start()
        number = 0
        while time.monotonic() < until:
            number += 1
            prompt = f"paced {number} " + " ".join(f"w{place}" for place in range(number % 3 * 60))
            time.sleep(0.2)
            try:
                with closing(create(caller, prompt, background=True)) as stream:
                    response_id = next(stream).response.id
            except AWAY:
                continue
            readers.start(readers.native, curl, job_of(response_id))
            readers.start(readers.response, caller, response_id)
            readers.start(readers.chat, caller, f"{prompt} chat")
        troubles.join()
        assert readers.join(90) == 0, "some readers hang"
    assert readers.faults == []
    assert readers.seen["native completed"] > 10, readers.seen
    assert readers.seen["response completed"] > 10, readers.seen
    assert readers.seen["chat whole"] > 10, readers.seen
