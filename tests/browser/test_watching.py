"""The tests' own eyes: what a page may not do is noticed. Otherwise the other tests here would prove nothing."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests import http_server
from tests.browser.watched import Watched
from tests.patience import eventually
from tools.local.gateway import HttpRequest
from tools.local.problems import Answer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

TOKEN = "eyJhbGciOiJub25l.eyJzdWIiOiJ4In0a.c2lnbmF0dXJl"
REFRESH = "refresh-me-1234567890"

Do = Callable[[str], Watched]


class Careless:
    """A site with the pages' policy, a token endpoint, and nothing else."""

    def answer(self, request: HttpRequest) -> Answer:
        policy = ("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src *; img-src *")
        if request.target == "/oauth2/token":
            body = f'{{"access_token": "{TOKEN}", "refresh_token": "{REFRESH}"}}'
            return Answer(200, [("Content-Type", "application/json")], body.encode())
        return Answer(200, [("Content-Type", "text/html"), policy], b"<!doctype html><title>x</title><body>")


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with http_server.serving(Careless()) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture
def do(browser: "Browser", site: str) -> Iterator[Do]:
    """Runs a script in a page of the site."""
    watched = Watched(browser, (site,))

    def run(script: str) -> Watched:
        page = watched.page()
        page.goto(f"http://{site}/")
        page.evaluate(script)
        return watched

    yield run
    watched.close()


def soon(page: "Page", check: Callable[[], object]) -> bool:
    """Wait as Playwright wants it: it hands out events while it waits."""

    def look() -> object:
        page.wait_for_timeout(20)
        return check()

    return bool(eventually(look))


@pytest.mark.parametrize(
    "script",
    [
        "document.body.append(Object.assign(document.createElement('script'), {textContent: '1'}))",
        "document.body.setAttribute('onclick', 'alert(1)'); document.body.click()",
        "document.body.innerHTML = '<p style=\"color: red\">'",
        "setTimeout(() => { throw new Error('nobody catches me') })",
        "setTimeout(() => Promise.reject(new Error('nobody catches me')))",
        "console.error('broken')",
        "console.warn('nearly broken')",
    ],
    ids=["inline-script", "handler", "inline-style", "exception", "rejection", "error", "warning"],
)
def test_a_violation_an_exception_and_an_error_are_noticed(do: Do, script: str) -> None:
    watched = do(script)

    assert soon(watched.context.pages[0], watched.complaints)


def test_a_request_of_another_host_is_noticed(do: Do) -> None:
    watched = do("document.body.append(Object.assign(new Image(), {src: 'https://foreign.example/x.png'}))")

    assert soon(watched.context.pages[0], watched.foreign)


@pytest.mark.parametrize(
    "keep",
    [
        f"localStorage.x = '{TOKEN}'",
        f"sessionStorage.x = '{TOKEN}'",
        f"document.cookie = 'x={TOKEN}'",
        f"history.replaceState({{x: '{TOKEN}'}}, '')",
        f"history.replaceState(null, '', '?{TOKEN}')",
        f"fetch('/v1/jobs?access_token={TOKEN}')",
        f"window.name = '{TOKEN}'",
        f"""new Promise((done) => {{
          const opening = indexedDB.open('x');
          opening.onupgradeneeded = () => opening.result.createObjectStore('all', {{ autoIncrement: true }});
          opening.onsuccess = () => {{
            const adding = opening.result.transaction('all', 'readwrite').objectStore('all').add('{TOKEN}');
            adding.onsuccess = () => done();
          }};
        }})""",
        "fetch('/oauth2/token').then((answer) => answer.json()).then((it) => localStorage.x = it.refresh_token)",
    ],
    ids=["local", "session", "cookie", "state", "address", "request", "name", "database", "refresh-token"],
)
def test_a_token_that_is_kept_or_sent_in_an_address_is_noticed(do: Do, keep: str) -> None:
    assert list(do(keep).leaks()) != []


def test_a_page_that_does_nothing_of_this_is_left_alone(do: Do) -> None:
    watched = do("fetch('/oauth2/token').then((answer) => answer.json())")

    assert (watched.complaints(), watched.foreign(), list(watched.leaks())) == ([], [], [])
