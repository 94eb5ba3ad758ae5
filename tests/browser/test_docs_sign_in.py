"""The window in which /docs signs people in: what may come back to it, and what is ignored."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.browser.conftest import Visit
from tests.browser.docs_page import DocsPage
from tests.browser.hostile import TEXTS
from tests.browser.test_sign_in import asked_of_the_pool
from tests.e2e.live import Live

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Route

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

_RETURN = "docs/oauth2-redirect"


@pytest.fixture
def docs(live: Live, visit: Visit) -> DocsPage:
    docs = DocsPage(visit(live.stack))
    docs.open()
    return docs


def _answered(docs: DocsPage, answer: Callable[[str], dict[str, str]]) -> "Locator":
    """Begin to sign in at a pool that sends the window back with this for its state; return the form."""

    def back(route: "Route") -> None:
        (state,) = parse_qs(urlsplit(route.request.url).query)["state"]
        location = f"{docs.person.url}{_RETURN}?{urlencode(answer(state))}"
        route.fulfill(status=302, headers={"Location": location})

    docs.page.context.route("**/oauth2/authorize?*", back)
    docs.page.get_by_role("button", name="Authorize").first.click()
    form = docs.page.locator(".auth-container", has_text="authorizationCode")
    with docs.page.context.expect_page() as opened:
        form.locator("button.authorize").click()
    if not opened.value.is_closed():
        opened.value.wait_for_event("close")
    return form


@pytest.mark.parametrize(
    "forged", [{"code": "a", "state": "x"}, {"code": "a"}, {"error": "e", "state": "x"}, {}], ids=str
)
def test_an_answer_that_was_not_asked_for_is_ignored(docs: DocsPage, forged: dict[str, str]) -> None:
    form = _answered(docs, lambda _: forged)

    form.get_by_text("was ignored").wait_for()
    assert form.get_by_text("Logout").count() == 0
    assert asked_of_the_pool(docs.person, "token") == []


@pytest.mark.parametrize("name", ["script", "image", "closing", "markdown", "link"])
def test_what_the_pool_says_of_an_error_is_text(docs: DocsPage, name: str) -> None:
    form = _answered(docs, lambda state: {"error": "e", "error_description": TEXTS[name], "state": state})

    form.get_by_text(TEXTS[name].split("\n", maxsplit=1)[0]).wait_for()
    assert form.locator(".errors").locator("script, img, h1, a").count() == 0
    assert docs.page.evaluate("window.hurt") is None


def test_a_code_of_somebody_else_gets_no_token(docs: DocsPage) -> None:
    form = _answered(docs, lambda state: {"code": "of-somebody-else", "state": state})

    form.locator(".errors").wait_for()
    assert len(asked_of_the_pool(docs.person, "token")) == 1
    assert form.get_by_text("Logout").count() == 0


def test_a_window_that_nobody_opened_keeps_no_code_and_asks_nobody(live: Live, visit: Visit) -> None:
    person = visit(live.stack)
    person.open(f"{_RETURN}?code=abc&state=x#token=abc")

    person.page.get_by_text("belongs to no sign-in").wait_for()
    assert person.page.url == person.url + _RETURN
    assert asked_of_the_pool(person, "token") == []


def test_no_address_makes_docs_show_another_document(live: Live, visit: Visit) -> None:
    """Swagger UI can take its document from the query. The browser of this test sees if another host is asked."""
    person = visit(live.stack)
    elsewhere = "https://evil.example/openapi.json"
    person.open(f"docs?{urlencode({'url': elsewhere, 'configUrl': elsewhere, 'urls.primaryName': 'x'})}#/x?url=y")
    person.page.locator(".opblock").first.wait_for()

    assert person.page.locator(".opblock-summary-path", has_text="/v1/jobs").count() >= 1
