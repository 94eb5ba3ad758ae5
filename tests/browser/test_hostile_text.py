"""Whatever comes from callers, models, workers, the pool and the router is shown as text."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.browser.conftest import Visit
from tests.browser.docs_page import DocsPage
from tests.browser.hostile import TEXTS, lying_model
from tests.browser.person import Person
from tests.browser.test_sign_in import begun, change_id_token
from tests.e2e.calling_model import MODEL
from tests.e2e.conftest import StartStack
from tests.e2e.live import Live
from tests.e2e.running_stack import RunningStack, final

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

#: Elements that no text may make.
_MADE = "script, img, svg, iframe, object, embed, style, form, base, meta, link, h1, math"


@pytest.fixture(scope="module")
def lying(start_stack: StartStack) -> Iterator[RunningStack]:
    """A stack whose model server repeats what it is told, wherever it can."""
    with lying_model() as model:
        yield start_stack(
            BACKEND=model.base_url,
            MODEL=MODEL,
            WORKER_CONCURRENCY="8",
            ROUTER_RATE_BURST="1000",
            ROUTER_RATE_PER_MINUTE="60000",
        )


@pytest.fixture
def counted(visit: Visit, lying: RunningStack) -> Iterator[Person]:
    """Somebody at work there, whose page has at the end the elements that it had at first, and ran nobody's script."""
    person = visit(lying)
    person.sign_in("alice")
    before = person.page.locator(_MADE).count()
    yield person
    assert person.page.locator(_MADE).count() == before
    assert person.page.evaluate("window.hurt") is None


def sent(caller: httpx.Client, prompt: str, **metadata: str) -> str:
    """The id of a job that is final."""
    body = {"type": "generate", "input": {"prompt": prompt}, "metadata": metadata}
    accepted = caller.post("/v1/jobs", json=body)
    assert accepted.status_code == 202, accepted.text
    return str(final(caller, accepted.json()["id"])["id"])


def test_prompts_results_metadata_and_names_of_models(counted: Person, lying: RunningStack) -> None:
    with lying.caller("alice") as alice:
        ids = {name: sent(alice, text, model=text, note=text) for name, text in TEXTS.items()}
    rows, results = {}, {}
    for name, row in _each_row(counted, ids):
        rows[name] = row.text_content()
        row.get_by_role("button").first.click()
        counted.sees(lambda text=TEXTS[name]: counted.words == text, lambda: counted.words)
        results[name] = counted.words

    assert results == TEXTS
    assert [name for name, text in TEXTS.items() if text[:200] not in rows[name]] == []


def test_a_prompt_that_is_typed_and_its_answer_as_it_comes(counted: Person) -> None:
    for text in (TEXTS["script"], TEXTS["event-stream"].strip(), TEXTS["combining"], TEXTS["closing"]):
        counted.ask(text)
        counted.sees_words(text)
        counted.sees_end()


def test_errors_of_a_model_server(counted: Person, lying: RunningStack) -> None:
    with lying.caller("alice") as alice:
        ids = {name: sent(alice, f"refuse {text}") for name, text in TEXTS.items()}
        said = {name: alice.get(f"/v1/jobs/{id_}").json()["error"]["message"] for name, id_ in ids.items()}
    shown = {}
    for name, row in _each_row(counted, ids):
        row.get_by_role("button").first.click()
        counted.sees(lambda id_=ids[name]: id_ in counted.facts and counted.problem, lambda: counted.facts)
        shown[name] = counted.page.locator("#problem-detail").text_content()

    assert shown == said
    assert sum(TEXTS[name][:40] in text for name, text in said.items()) > 20  # the server's words are among them


def test_errors_of_a_router_or_gateway_that_lies(counted: Person) -> None:
    answers: list[tuple[str, dict[str, Any], dict[str, str]]] = []
    for text in TEXTS.values():
        answers.append((text, {"title": text, "detail": text, "instance": text, "status": 418}, {}))
        members = dict.fromkeys(("message", "code", "type", "param"), text)
        answers.append((text, {"error": members | {"name": "AbortError", "detail": ["x"], "retryAfter": 1e9}}, {}))
        plain = "".join(letter for letter in text[:50] if letter.isascii() and letter.isprintable())
        answers.append((text, {"message": text}, {"x-amzn-RequestId": plain}))
    detail = counted.page.locator("#problem-detail")
    for text, body, headers in answers:
        counted.page.route("**/v1/jobs?*", _lying(body, headers), times=1)
        counted.page.get_by_role("button", name="Refresh").click()
        counted.sees(lambda text=text: detail.text_content() == text, lambda: str(detail.text_content()))


def test_names_of_models_that_a_router_lists(visit: Visit, lying: RunningStack) -> None:
    person = visit(lying)
    models = {"object": "list", "data": [{"id": text, "object": "model"} for text in TEXTS.values()]}
    person.page.route("**/v1/models", lambda route: route.fulfill(json=models))
    person.sign_in("alice")

    assert person.page.locator("#model option").evaluate_all("all => all.map((it) => it.textContent)") == list(
        TEXTS.values()
    )
    assert person.page.evaluate("window.hurt") is None


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_the_pool_says_of_an_error(live: Live, visit: Visit, text: str) -> None:
    person = visit(live.stack)
    query = httpx.QueryParams(error="denied", error_description=text, state=begun(person))
    person.open(f"?{query}")

    person.sees_problem("Sign-in failed")
    assert person.page.locator("#problem-detail").text_content() == f"denied: {text}"
    assert person.page.evaluate("window.hurt") is None


@pytest.mark.parametrize("name", ["script", "image", "closing", "direction"])
def test_a_persons_name(live: Live, visit: Visit, name: str) -> None:
    person = visit(live.stack)
    person.page.route("**/oauth2/token", lambda route: change_id_token(route, {"email": TEXTS[name]}))
    person.sign_in("alice")

    assert person.page.locator("#person").text_content() == TEXTS[name]
    assert person.page.evaluate("window.hurt") is None


def test_results_at_docs(visit: Visit, lying: RunningStack) -> None:
    with lying.caller("bob") as bob:
        ids = {sent(bob, text, note=text) for text in TEXTS.values()}
    docs = DocsPage(visit(lying))
    docs.open()
    docs.authorize("bob")
    status, body = docs.try_out("get", "/v1/jobs", limit="50")

    assert (status, {job["id"] for job in body["data"]} & ids) == (200, ids)
    assert docs.page.evaluate("window.hurt") is None
    assert docs.page.locator(".live-responses-table").locator("img, iframe, h1, form").count() == 0


def _each_row(person: Person, ids: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """Each job's row in the list, which is read on until all of them are there."""
    person.page.reload()  # the list begins with the newest
    person.at_work()
    person.jobs.first.wait_for()
    for name, id_ in ids.items():
        row = person.page.locator(f"#{id_}")
        more = person.page.get_by_role("button", name="More", exact=True)
        while not row.count():
            before = person.jobs.count()
            more.click()
            person.sees(lambda at=before: person.jobs.count() > at, lambda: str(person.jobs.count()))
        yield name, row


def _lying(body: dict[str, Any], headers: dict[str, str]) -> Callable[["Route"], None]:
    return lambda route: route.fulfill(status=418, body=json.dumps(body), headers=headers)
