"""A browser, a running stack, and people."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests import debian
from tests.browser import chromium
from tests.browser.person import Person
from tests.browser.watched import Watched
from tests.e2e.conftest import live, start_stack
from tests.e2e.live import Live
from tests.e2e.running_stack import RunningStack
from tests.e2e.site import Site, running_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

__all__ = ["live", "start_stack"]  # fixtures

VisitAt = Callable[..., Person]
Visit = Callable[..., Person]


@pytest.fixture(scope="session")
def driver() -> Iterator["Playwright"]:
    """A test is skipped where there is no browser for it."""
    try:
        chromium.executable()
        with chromium.driver() as playwright:
            yield playwright
    except debian.Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def browser(driver: "Playwright") -> Iterator["Browser"]:
    with chromium.browser(driver) as launched:
        yield launched


@pytest.fixture
def visit_at(browser: "Browser") -> Iterator[VisitAt]:
    """A person with a browser of their own, at an address. At the end no page may have done what no page may do.

    Its arguments: the address of the API with a slash at its end, further addresses that may be asked, and options of
    Playwright's for the browser.
    """
    watched: list[Watched] = []

    def come(url: str, *others: str, **options: Any) -> Person:
        hosts = tuple(urlsplit(each).netloc for each in (url, *others))
        watched.append(Watched(browser, hosts, **options))
        return Person(watched[-1], url)

    yield come
    try:
        for each in watched:
            assert each.complaints() == []
            assert each.foreign() == []
            assert list(each.leaks()) == []
    finally:
        for each in watched:
            each.close()


@pytest.fixture
def visit(visit_at: VisitAt) -> Visit:
    """The same at a running stack and its pool."""

    def come(stack: RunningStack, **options: Any) -> Person:
        return visit_at(f"{stack.url}/", stack.facts["endpoint"], **options)

    return come


@pytest.fixture
def at_work(visit: Visit, live: Live) -> Person:
    """Somebody who has signed in, at the stack of all tests."""
    person = visit(live.stack)
    person.sign_in()
    return person


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running_site(tmp_path, ROUTER_DOCS="true") as site:
        yield site


@pytest.fixture
def reader(site: Site, visit_at: VisitAt) -> Person:
    """Somebody with a token of this site, which has no pool."""
    person = visit_at(f"{site.parts.url}/")
    person.open()
    person.page.get_by_label("Access token").fill(site.parts.token("ann"))
    person.page.get_by_role("button", name="Use this token").click()
    person.at_work()
    return person
