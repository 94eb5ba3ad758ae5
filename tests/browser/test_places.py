"""The pages below a stage's name, where nothing streams, and without a sign-in."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.browser.conftest import VisitAt
from tests.browser.docs_page import DocsPage
from tests.browser.person import Person
from tests.e2e.conftest import StartStack
from tests.e2e.live import Live
from tests.e2e.running_stack import clean_environ
from tests.parts import is_up
from tests.patience import eventually
from tools.local import commands
from tools.local.cognito import LocalCognito
from tools.local.pool.page_addresses import PageAddresses
from tools.local.ports import free_ports
from tools.local.state import LocalState
from tools.stack.repository import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@contextmanager
def staged(live: Live, prefix: str = "/api", **settings: str) -> Iterator[str]:
    """The address of one more app at the services of that stack, below a prefix; with a slash at its end."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}{prefix}/"
    facts = live.stack.facts
    PageAddresses(LocalState(live.stack.port).folder / "pool").add(url)
    models = commands.models(None, None, facts["models"])
    environ = commands.app_settings(LocalCognito.of(facts), facts["redis_url"], models) | {"ROUTER_DOCS": "true"}
    command = [sys.executable, "-m", "tests.browser.staged", "--port", str(port), "--prefix", prefix]
    environ = clean_environ() | environ | settings
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL) as process:
        try:
            assert eventually(lambda: is_up(f"{url}health"), 20)
            yield url
        finally:
            process.terminate()


@pytest.mark.parametrize("address", ["/api/", "/api"], ids=["slash", "no-slash"])
def test_below_a_stage_everything_works(live: Live, visit_at: VisitAt, address: str) -> None:
    with staged(live) as url:
        person = visit_at(url, live.stack.facts["endpoint"])
        person.page.goto(url.removesuffix("/api/") + address)
        person.page.get_by_role("button", name="Sign in").click()
        person.choose("alice")
        person.at_work()
        assert person.page.url == url
        person.answered("below a stage")

        docs = DocsPage(person)
        person.page.get_by_role("link", name="API reference").click()
        docs.authorize("alice")
        status, _ = docs.try_out("post", "/v1/jobs", {"type": "generate", "input": {"prompt": "from the docs"}})
        assert status == 202
        host = url.removesuffix("/api/")
        assert [
            each for each in person.watched.urls if each.startswith(host) and not each.startswith(f"{host}/api")
        ] == []


def test_where_nothing_streams_the_words_come_all_the_same(
    live: Live, start_stack: StartStack, visit_at: VisitAt
) -> None:
    """``make chalice-local`` beside ``make run``."""
    stack = start_stack(options=["--chalice"], SERVICES_PORT=str(live.stack.port))
    person = visit_at(f"{stack.url}/", live.stack.facts["endpoint"])
    person.sign_in("alice")
    prompt = "held where nothing is streamed"
    person.ask(prompt)
    for words in (1, 3):
        live.model.let_go(prompt, words - len(person.words.split()))
        person.sees_words(" ".join(prompt.upper().split()[:words]))
    live.model.let_go(prompt)

    person.sees_words(prompt.upper())
    person.sees_end()
    assert person.problem == ""
    assert stack.stop() == 0


@pytest.mark.parametrize("missing", ["COGNITO_DOMAIN", "COGNITO_LOGIN_CLIENT_ID"])
def test_without_a_sign_in_the_pages_name_the_setting_and_take_a_token(
    live: Live, visit_at: VisitAt, missing: str
) -> None:
    facts = live.stack.facts
    accepted = f"{facts['machine_client_id']},{facts['client_id']}"
    with staged(live, **{"COGNITO_AUD": accepted, missing: ""}) as url:
        person = visit_at(url)
        person.open()
        assert missing in person.page.locator("#missing").inner_text()
        _paste(person, live.stack.token("alice"))
        person.at_work()
        person.answered(f"without {missing}")

        person.page.get_by_role("button", name="Sign out").click()
        person.page.get_by_label("Access token").wait_for()
        assert person.page.get_by_label("Access token").input_value() == ""

        docs = DocsPage(person)
        docs.open()
        assert missing in person.page.locator("#message").inner_text()


def test_without_the_switch_there_are_no_pages(live: Live) -> None:
    with staged(live, ROUTER_DOCS="false") as url:
        for path in ("", "docs", "docs/oauth2-redirect", "pages/playground.js"):
            answer = httpx.get(url + path, trust_env=False)
            assert (path, answer.status_code) == (path, 404)
            assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_token_that_is_none_is_refused_and_can_be_replaced(live: Live, visit_at: VisitAt) -> None:
    with staged(live, COGNITO_DOMAIN="") as url:
        person = visit_at(url)
        person.open()
        _paste(person, "no token at all")
        person.sees_problem("signed out")

        _paste(person, live.stack.token("alice"))
        person.at_work()
        person.answered("with a real one")


def _paste(person: Person, token: str) -> None:
    person.page.get_by_label("Access token").fill(token)
    person.page.get_by_role("button", name="Use this token").click()
