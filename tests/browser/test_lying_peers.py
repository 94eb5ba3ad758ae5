"""A router, a pool and a clock that tell the page nonsense, and what comes too late: no storm, no data of others."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.conftest import Visit
from tests.browser.person import Person
from tests.browser.test_sign_in import asked_of_the_pool
from tests.e2e.live import Live

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

_MOST_BYTES = 2**24

#: Every stream of an answer is one event that never ends. The page's own requests pass.
_ENDLESS = """
window.streams = []; window.taken = 0;
const pass = fetch;
window.fetch = (address, options) => {
  if (!String(address).includes("stream=true")) return pass(address, options);
  const piece = new TextEncoder().encode("x".repeat(2 ** 20));
  const one = { isOpen: true };
  streams.push(one);
  return Promise.resolve(new Response(new ReadableStream({
    start(its) { its.enqueue(new TextEncoder().encode("event: delta\\ndata: ")) },
    pull(its) { taken += piece.length; taken < 2 ** 28 ? its.enqueue(piece) : its.close() },
    cancel() { one.isOpen = false },
  })));
};
"""
#: The first hash is there after the second one.
_FIRST_HASH_IS_LATE = """
const digest = crypto.subtle.digest.bind(crypto.subtle);
let first = true, second;
const done = new Promise((resolve) => (second = resolve));
crypto.subtle.digest = async (...its) => {
  if (first) { first = false; await done; }
  const hash = await digest(...its);
  second();
  return hash;
};
"""


def _told(route: "Route", seconds: str) -> None:
    response = route.fetch()
    route.fulfill(response=response, headers=response.headers | {"Retry-After": seconds})


@pytest.mark.parametrize("seconds", ["31536000", "1e400", "-5", "soon"])
def test_no_wait_that_a_router_names_makes_the_page_ask_without_a_pause(reader: Person, seconds: str) -> None:
    reader.page.route("**/v1/jobs/job_*", lambda route: _told(route, seconds))
    reader.ask("for nobody: there is no worker")
    reader.sees_status("in line")
    before = len(reader.watched.urls)

    reader.page.wait_for_timeout(3_000)

    asked = len(reader.watched.urls) - before
    reader.page.unroute_all(behavior="ignoreErrors")
    assert asked <= 2


def test_a_limit_of_a_year_lasts_an_hour_here(at_work: Person) -> None:
    problem = {"error": {"message": "Come again.", "type": "x", "param": None, "code": "rate_limited"}}
    answer = {"status": 429, "json": problem, "headers": {"Retry-After": "31536000"}}
    at_work.page.route("**/v1/responses", lambda route: route.fulfill(**answer), times=1)
    at_work.ask("too soon")
    at_work.sees_problem("Come again.")

    at_work.page.clock.set_system_time(time.time() + 3_601)
    at_work.page.get_by_role("button", name="Send").click()

    at_work.sees_words("TOO SOON")


def test_an_event_without_an_end_is_given_up(at_work: Person) -> None:
    at_work.page.evaluate(_ENDLESS)
    at_work.ask("endless")
    at_work.sees_status("Reading on")

    assert at_work.page.evaluate("taken") <= 2 * _MOST_BYTES
    assert not at_work.page.evaluate("streams[0].isOpen")  # else each attempt would keep a connection
    at_work.page.reload()
    at_work.at_work()


@pytest.mark.parametrize("hours", [-5, 5])
def test_people_sign_in_whatever_their_clock_shows(live: Live, visit: Visit, hours: int) -> None:
    person = visit(live.stack)
    person.page.clock.set_system_time(time.time() + hours * 3_600)

    person.sign_in()

    assert person.problem == ""


def test_of_two_clicks_at_sign_in_the_last_one_counts(live: Live, visit: Visit) -> None:
    person = visit(live.stack)
    person.page.add_init_script(_FIRST_HASH_IS_LATE)
    person.open()
    person.page.evaluate("for (const _ of [1, 2]) document.getElementById('sign-in').click()")
    person.choose("alice")

    person.at_work()
    assert person.problem == ""


def test_what_comes_after_a_sign_out_is_not_shown(at_work: Person) -> None:
    at_work.answered("what nobody else may see")
    second = at_work.another_tab()
    second.open()
    second.at_work()
    held: list[Route] = []
    at_work.page.route("**/v1/jobs?*", lambda route: held.extend([route]))
    at_work.page.get_by_role("button", name="Refresh").click()
    at_work.sees(lambda: held, lambda: at_work.status)

    second.page.get_by_role("button", name="Sign out").click()
    at_work.sees_problem("signed out", "another tab")
    rows = {"id": "job_1", "status": "completed", "created_at": "2026-01-01T00:00:00Z", "metadata": {}, "queue": "q"}
    with suppress(Exception):  # the page has given the request up
        held[0].fulfill(json={"data": [rows], "has_more": False})
    at_work.page.wait_for_timeout(500)

    assert at_work.jobs.count() == 0


def test_a_page_that_comes_back_from_the_browsers_cache_signs_in_anew(at_work: Person) -> None:
    """Chromium has no such cache under Playwright. Others may have signed out while the page was in it."""
    before = len(asked_of_the_pool(at_work, "authorize"))

    at_work.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    at_work.sees(lambda: len(asked_of_the_pool(at_work, "authorize")) > before, lambda: at_work.status)
    at_work.at_work()

    urls = asked_of_the_pool(at_work, "authorize")
    assert parse_qs(urlsplit(urls[-1]).query)["state"] != parse_qs(urlsplit(urls[0]).query)["state"]
