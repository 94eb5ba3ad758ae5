"""The weight of the page: bytes over the wire, and the longest step that the browser takes for it."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import Visit
from tests.browser.person import Person
from tests.e2e.calling_model import MODEL
from tests.e2e.conftest import StartStack
from tests.e2e.live import Live
from tests.e2e.running_stack import RunningStack
from tests.model_servers import USAGE_CHUNK, Call, ModelServer, chunk, event

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

MOST_BYTES = 60_000
LONGEST_MS = 200
#: About 1 MB.
LONG_ANSWER = "".join(
    f"{number} words, and some more of them.{chr(10) * (number % 7 == 0)} " for number in range(26_000)
)


class Talkative(ModelServer):
    """A model server whose answers are long: in many pieces, or in a few that are large."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(self._answer, port)

    def _answer(self, call: Call) -> None:
        if call.method == "GET":
            call.answer(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
            return
        size = int(call.json["messages"][-1]["content"].split()[0])
        call.begin_stream()
        for start in range(0, len(LONG_ANSWER), size):
            call.piece(event(chunk(LONG_ANSWER[start : start + size])))
        for document in (chunk(finish_reason="stop"), USAGE_CHUNK, "[DONE]"):
            call.piece(event(document))
        call.end_stream()


@pytest.fixture(scope="module")
def talking(start_stack: StartStack) -> Iterator[RunningStack]:
    with Talkative() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield start_stack(BACKEND=server.base_url, MODEL=MODEL)
        server.shutdown()


def longest_ms(browser: "Browser", person: Person, act: Callable[[], Any]) -> float:
    """The longest task of the page's main thread meanwhile, by the browser's trace, in CPU time.

    CPU time, since a busy machine makes a task wait.
    """
    browser.start_tracing(
        page=person.page, categories=["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"]
    )
    act()
    events = json.loads(browser.stop_tracing())["traceEvents"]
    main = {
        (each["pid"], each["tid"])
        for each in events
        if each["name"] == "thread_name" and each["args"]["name"] == "CrRendererMain"
    }
    tasks = [each for each in events if each["name"].endswith("RunTask") and "dur" in each]
    took = [each.get("tdur", each["dur"]) for each in tasks if (each["pid"], each["tid"]) in main]
    assert took
    return float(max(took)) / 1_000


def test_the_page_is_light_over_the_wire(live: Live, visit: Visit) -> None:
    person = visit(live.stack)
    session = person.watched.context.new_cdp_session(person.page)
    session.send("Network.enable")
    received: dict[str, float] = {}
    session.on("Network.loadingFinished", lambda it: received.update({it["requestId"]: it["encodedDataLength"]}))
    person.open()
    person.signed_out()
    person.page.wait_for_load_state("networkidle")

    assert len(received) >= 3
    assert 1_000 < sum(received.values()) < MOST_BYTES


@pytest.mark.parametrize("size", [40, 65_536], ids=["many-pieces", "large-pieces"])
def test_no_task_takes_long_while_a_long_answer_comes_and_is_read_again(
    talking: RunningStack, visit: Visit, browser: "Browser", size: int
) -> None:
    person = visit(talking)

    def all_of_it() -> None:
        person.sign_in("alice")
        person.ask(f"{size} characters at once")
        person.sees(lambda: len(person.words) > 1_000, lambda: person.status, 30)
        person.sees_end(seconds=90)
        person.jobs.first.get_by_role("button").first.click()
        person.sees(lambda: "completed" in person.status and person.words == LONG_ANSWER, lambda: person.status, 30)
        person.page.locator("#words").evaluate("it => it.scrollTo(0, it.scrollHeight)")
        person.page.wait_for_timeout(300)

    assert longest_ms(browser, person, all_of_it) < LONGEST_MS


def test_a_task_that_takes_long_is_found_out(live: Live, visit: Visit, browser: "Browser") -> None:
    person = visit(live.stack)
    person.open()
    busy = "const until = performance.now() + 2_000; while (performance.now() < until);"

    def act() -> None:
        person.page.evaluate(f"setTimeout(() => {{ {busy} }})")
        person.page.wait_for_timeout(2_500)

    assert longest_ms(browser, person, act) > LONGEST_MS
