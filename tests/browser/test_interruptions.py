"""What breaks while one reads: no word is lost, and none comes twice."""

import os
import signal

import pytest

from tests.browser.person import Person
from tests.e2e.calling_model import text_of
from tests.e2e.live import Live
from tests.e2e.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

WORKER = ("--lease-seconds", "3", "--concurrency", "4")


def test_another_worker_begins_again(site: Site, reader: Person) -> None:
    prompt = "held by two workers"
    first = site.parts.start_worker(*WORKER)
    reader.ask(prompt)
    site.model.let_go(prompt, 2)
    reader.sees_words("HELD BY")

    os.kill(first.pid, signal.SIGKILL)
    site.parts.start_worker(*WORKER)
    reader.sees_words("HELD' BY'", seconds=30)
    site.model.let_go(prompt)

    reader.sees_words(text_of(prompt, 2))
    reader.sees_end()
    assert reader.problem == ""


def test_the_router_is_gone_and_comes_back(site: Site, reader: Person) -> None:
    prompt = "held while the router is away"
    site.parts.start_worker(*WORKER)
    reader.ask(prompt)
    site.model.let_go(prompt, 2)
    reader.sees_words("HELD WHILE")

    site.app.kill()
    site.app.wait()
    reader.sees_status("Reading on")
    site.model.let_go(prompt, 2)
    site.parts.start_app()
    reader.sees_words("HELD WHILE THE ROUTER", seconds=30)
    site.model.let_go(prompt)

    reader.sees_words(prompt.upper())
    reader.sees_end()
    assert reader.problem == ""


def test_redis_is_gone_and_comes_back(site: Site, reader: Person) -> None:
    prompt = "held while valkey is away"
    site.parts.start_worker(*WORKER)
    reader.ask(prompt)
    site.model.let_go(prompt, 2)
    reader.sees_words("HELD WHILE")

    site.server.kill()
    reader.sees_status("Reading on")
    site.server.restart()
    site.model.let_go(prompt)

    reader.sees_end(seconds=40)
    reader.sees_words(text_of(prompt, site.model.attempts(prompt)))
    assert reader.problem == ""


def test_a_router_that_stays_away_is_told_at_last(site: Site, reader: Person) -> None:
    site.app.kill()
    site.app.wait()
    reader.ask("to nobody")

    reader.sees_problem("No connection", site.parts.url.removeprefix("http://"))
    assert reader.page.locator("#prompt").input_value() == "to nobody"


def test_a_prompt_that_is_sent_offline_stays_and_can_be_sent_again(at_work: Person) -> None:
    at_work.watched.context.set_offline(True)
    at_work.ask("sent offline")
    at_work.sees_problem("No connection")
    at_work.watched.context.set_offline(False)

    at_work.page.get_by_role("button", name="Send").click()

    at_work.sees_words("SENT OFFLINE")
    at_work.sees_end()
    assert at_work.problem == ""


def test_a_prompt_whose_response_is_lost_is_stored_once(at_work: Person, live: Live) -> None:
    with live.stack.caller("alice") as alice:
        before = len(alice.get("/v1/jobs", params={"limit": "50"}).json()["data"])
        at_work.page.route("**/v1/responses", lambda route: (route.fetch(), route.abort())[0], times=1)
        at_work.answered("sent twice and stored once")
        after = len(alice.get("/v1/jobs", params={"limit": "50"}).json()["data"])

    assert after == before + 1


def test_more_prompts_than_are_allowed_are_told_when_to_come_again(at_work: Person, live: Live) -> None:
    problem = {"error": {"message": "You may send 1 job.", "type": "x", "param": None, "code": "rate_limited"}}
    answer = {"status": 429, "json": problem, "headers": {"Retry-After": "2", "X-Request-Id": "an-id"}}
    at_work.page.route("**/v1/responses", lambda route: route.fulfill(**answer), times=1)
    at_work.ask("too soon")

    at_work.sees_problem("You may send 1 job.", "an-id")
    again = at_work.page.locator("#again")
    at_work.sees(again.inner_text, again.inner_text)
    at_work.page.get_by_role("button", name="Send").click()
    at_work.page.wait_for_timeout(2_100)
    assert at_work.words == ""  # the first click was too early, and sent nothing
    at_work.page.get_by_role("button", name="Send").click()
    at_work.sees_words("TOO SOON")
