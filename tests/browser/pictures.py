"""``python -m tests.browser.pictures``: the pictures in ``docs/pictures``, for ``make pictures``.

It runs the stack with a model that says the same each time, and draws what a person sees in Chromium. Ids and times
differ from day to day, so they are set to fixed ones before a picture is taken.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests import debian
from tests.browser import chromium
from tests.browser.docs_page import DocsPage
from tests.browser.person import Person
from tests.browser.watched import Watched
from tests.e2e.running_stack import RunningStack, begin_stack
from tests.model_servers import USAGE_CHUNK, Call, ModelServer, chunk, event
from tools.local.ports import free_ports
from tools.stack.repository import ROOT

FOLDER = ROOT / "docs/pictures"
MODEL = "tinyllama"
EARLIER = ("Name three sorting algorithms.", "Translate “good morning” into Danish.")
PROMPT = "Why does a queue keep a small model server healthy?"
ANSWER = (
    "A queue separates how fast requests arrive from how fast they can be answered. Without one, every caller holds a "
    "connection open, the server starts more work than its memory allows, and all answers become slow at once.\n\nWith "
    "one, a request is stored first and gets its place in line. The server takes the next job when it has room for it,"
)
_ANSWERS = dict(zip(EARLIER, ("Merge sort, quicksort and heapsort.", "“Good morning” is “godmorgen”."), strict=True))

#: What differs between two days.
_SAME = """() => {
  const ids = new Map();
  const same = (text) => text
    .replace(/job_[0-9a-f]{32}/g, (id) => ids.get(id) ?? ids.set(id, `job_${String(ids.size + 1).repeat(8)}…`).get(id));
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) walker.currentNode.data = same(walker.currentNode.data);
  document.querySelectorAll('#jobs time').forEach((it, place) => (it.textContent = `Mon 9:4${5 - place} AM`));
  document.activeElement.blur();
}"""


class Steady(ModelServer):
    """A model server that says the same each time, and then waits in the middle of the long answer."""

    def __init__(self, port: int = 0) -> None:
        self.leave = threading.Event()
        super().__init__(self._answer, port)

    def _answer(self, call: Call) -> None:
        if call.method == "GET":
            call.answer(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
            return
        prompt = str(call.json["messages"][-1]["content"])
        call.begin_stream()
        call.piece(event(chunk(_ANSWERS.get(prompt, ANSWER))))
        if prompt not in _ANSWERS:
            self.leave.wait(60)
        for document in (chunk(finish_reason="stop"), USAGE_CHUNK, "[DONE]"):
            call.piece(event(document))
        call.end_stream()


@contextmanager
def _stack() -> Iterator[RunningStack]:
    (port,) = free_ports(1)
    with Steady() as model:
        threading.Thread(target=model.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        stack = RunningStack(port, begin_stack(port, BACKEND=model.base_url, MODEL=MODEL))
        threading.Thread(target=stack.listen, daemon=True).start()
        try:
            stack.wait_until_ready()
            yield stack
        finally:
            model.leave.set()
            stack.process.terminate()
            stack.process.wait(30)
            model.shutdown()


def draw(folder: Path = FOLDER) -> None:
    """Draw both pages. Raises Unavailable without a browser."""
    folder.mkdir(parents=True, exist_ok=True)
    program = debian.program(chromium.OF_DEBIAN)  # with fonts of its own, so that pictures are the same everywhere
    with chromium.driver() as driver, chromium.browser(driver, program=program) as browser, _stack() as stack:
        hosts = (urlsplit(stack.url).netloc, urlsplit(stack.facts["endpoint"]).netloc)
        look = {"viewport": {"width": 880, "height": 1080}, "color_scheme": "light", "reduced_motion": "reduce"}
        watched = Watched(browser, hosts, locale="en-US", timezone_id="UTC", **look)
        person = Person(watched, f"{stack.url}/")
        person.sign_in("alice")
        for prompt in EARLIER:
            person.ask(prompt)
            person.sees_end()
        person.ask(PROMPT)
        person.sees_words(ANSWER)
        person.sees(lambda: person.jobs.count() == 3, lambda: person.status)
        person.page.evaluate(_SAME)
        person.page.screenshot(path=folder / "playground.png", full_page=True)

        docs = DocsPage(person)
        person.page.set_viewport_size({"width": 880, "height": 760})
        docs.open()
        docs.authorize("alice")
        docs.page.mouse.move(0, 0)  # a row under it would show one button more
        docs.page.evaluate("document.activeElement.blur()")
        docs.page.screenshot(path=folder / "docs.png", animations="disabled")
        watched.close()


if __name__ == "__main__":
    try:
        draw()
    except debian.Unavailable as problem:
        sys.exit(f"no pictures: {problem}")
