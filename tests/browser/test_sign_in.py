"""Signing in and out, as it should go and as it should not."""

import base64
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.browser.conftest import Visit
from tests.browser.person import Person
from tests.e2e.calling_model import MODEL
from tests.e2e.conftest import StartStack
from tests.e2e.live import Live

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def brief(live: Live, start_stack: StartStack) -> Iterator[Live]:
    """A stack whose tokens end after some seconds."""
    stack = start_stack(
        BACKEND=live.model.base_url, MODEL=MODEL, LOCAL_TOKEN_SECONDS="4", ROUTER_TOKEN_LEEWAY_SECONDS="0"
    )
    yield Live(stack, live.model)
    assert stack.stop() == 0


def asked_of_the_pool(person: Person, path: str) -> list[str]:
    return [url for url in person.watched.urls if urlsplit(url).path == f"/oauth2/{path}"]


def history(person: Person) -> list[str]:
    """The addresses that the tab can go back to."""
    session = person.watched.context.new_cdp_session(person.page)
    return [entry["url"] for entry in session.send("Page.getNavigationHistory")["entries"]]


def callback(person: Person) -> str:
    """The address with which the pool sent this person back."""
    return next(url for url in reversed(person.watched.urls) if "code=" in urlsplit(url).query)


def test_the_code_is_gone_from_the_address_the_history_and_the_storage(at_work: Person) -> None:
    secret = {parse_qs(urlsplit(callback(at_work)).query)[name][0] for name in ("code", "state")}
    ours = [address for address in history(at_work) if address.startswith(at_work.url)]
    kept = str(at_work.page.evaluate("JSON.stringify([{ ...sessionStorage, ...localStorage }, history.state])"))

    assert at_work.url in ours
    assert [place for place in [*ours, kept] if any(each in place for each in secret)] == []


def test_a_challenge_goes_with_each_sign_in_and_nothing_twice(at_work: Person) -> None:
    at_work.page.reload()
    at_work.at_work()
    first, second = (parse_qs(urlsplit(url).query) for url in asked_of_the_pool(at_work, "authorize"))

    assert first["code_challenge_method"] == ["S256"]
    for name in ("code_challenge", "state", "nonce"):
        assert first[name] != second[name]
        assert len(first[name][0]) >= 43


def test_a_reload_and_another_tab_ask_nobody_again(at_work: Person) -> None:
    at_work.page.reload()
    at_work.at_work()
    second = at_work.another_tab()
    second.open()
    second.at_work()

    assert second.page.locator("#person").inner_text() == at_work.page.locator("#person").inner_text() != ""


def test_a_sign_out_ends_every_tab_and_the_pools_session(at_work: Person) -> None:
    second = at_work.another_tab()
    second.open()
    second.at_work()
    at_work.answered("what nobody else may see")
    tokens = at_work.watched.learn()

    at_work.page.get_by_role("button", name="Sign out").click()

    at_work.signed_out()
    second.sees_problem("signed out", "another tab")
    assert "WHAT NOBODY" not in second.page.content() + at_work.page.content()
    at_work.page.get_by_role("button", name="Sign in").click()
    at_work.page.get_by_role("button", name="bob", exact=True).wait_for()  # the pool asks again
    revoked = asked_of_the_pool(at_work, "revoke")
    assert len(revoked) == 2  # each tab has a refresh token of its own
    assert all(token not in url for token in tokens for url in at_work.watched.urls)


def test_tokens_are_renewed_while_one_reads(brief: Live, visit: Visit) -> None:
    person = visit(brief.stack)
    person.sign_in("alice")
    prompt = "held for longer than a token lasts"
    person.ask(prompt)
    brief.model.let_go(prompt, 1)
    person.sees_words("HELD")

    for _ in range(3):  # each looks at the list after the token before has ended
        before = len(asked_of_the_pool(person, "token"))
        person.page.wait_for_timeout(4_500)
        person.page.get_by_role("button", name="Refresh").click()
        person.sees(lambda at=before: len(asked_of_the_pool(person, "token")) > at, lambda: person.status)
    brief.model.let_go(prompt)

    person.sees_words(prompt.upper())
    person.sees_end()
    assert person.problem == ""


def test_who_cannot_renew_is_signed_out_and_reads_why(brief: Live, visit: Visit) -> None:
    person = visit(brief.stack)
    person.sign_in("bob")
    facts = brief.stack.facts
    for token in person.watched.refresh_tokens:
        form = {"client_id": facts["client_id"], "token": token}
        httpx.post(f"{facts['endpoint']}/oauth2/revoke", data=form, trust_env=False).raise_for_status()
    person.page.wait_for_timeout(4_500)

    person.page.get_by_role("button", name="Refresh").click()

    person.sees_problem("You are signed out", "invalid_grant")
    person.signed_out()


def test_a_pool_out_of_reach_costs_nobody_the_session(brief: Live, visit: Visit) -> None:
    person = visit(brief.stack)
    person.sign_in("demo")
    person.page.route("**/oauth2/token", lambda route: route.abort())
    person.page.wait_for_timeout(4_500)

    person.page.get_by_role("button", name="Refresh").click()
    person.sees_problem("No connection")
    person.page.unroute("**/oauth2/token")
    person.page.get_by_role("button", name="Refresh").click()

    person.sees(lambda: person.problem == "", lambda: person.problem)
    assert person.page.locator("#workspace").is_visible()


@pytest.mark.parametrize(
    "query",
    ["code=abc&state=forged", "code=abc", "error=access_denied&state=forged", "code=&state="],
    ids=["state", "no-state", "error", "empty"],
)
def test_a_return_that_nobody_began_is_refused_and_asks_the_pool_for_nothing(
    live: Live, visit: Visit, query: str
) -> None:
    person = visit(live.stack)
    person.open(f"?{query}")

    person.sees_problem("Sign-in refused")
    assert person.page.url == person.url
    assert asked_of_the_pool(person, "token") == []


def begun(person: Person) -> str:
    """The state of a sign-in that this tab has begun, and that the pool has not answered."""
    person.page.route("**/oauth2/authorize?*", lambda route: route.fulfill(status=204))  # the page stays
    person.open()
    with person.page.expect_request("**/oauth2/authorize?*") as asked:
        person.page.get_by_role("button", name="Sign in").click()
    return parse_qs(urlsplit(asked.value.url).query)["state"][0]


def test_another_state_than_this_tabs_is_refused(live: Live, visit: Visit) -> None:
    person = visit(live.stack)
    state = begun(person)
    person.open(f"?code=abc&state={state[:-1]}")

    person.sees_problem("Sign-in refused")
    assert asked_of_the_pool(person, "token") == []


def test_a_code_that_was_used_gets_nothing(at_work: Person, visit: Visit, live: Live) -> None:
    used = parse_qs(urlsplit(callback(at_work)).query)["code"][0]
    other = visit(live.stack)
    other.open(f"?code={used}&state={begun(other)}")

    other.sees_problem("invalid_grant")
    other.signed_out()


def test_a_state_is_good_for_one_return(live: Live, visit: Visit) -> None:
    person = visit(live.stack)
    state = begun(person)
    person.open(f"?error=first&state={state}")
    person.sees_problem("Sign-in failed", "first")

    person.open(f"?error=second&state={state}")

    person.sees_problem("Sign-in refused")


def test_what_the_pool_says_about_a_failed_sign_in_is_shown(live: Live, visit: Visit) -> None:
    person = visit(live.stack)
    person.open(f"?error=server_error&error_description=Try+later&state={begun(person)}")

    person.sees_problem("Sign-in failed", "server_error", "Try later")
    assert person.page.url == person.url


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"aud": "another"},
        {"iss": "https://evil.example"},
        {"token_use": "access"},
        {"exp": 1},
        {"exp": "x"},
    ],
    ids=lambda claims: next(iter(claims)),
)
def test_an_id_token_of_another_sign_in_is_refused(live: Live, visit: Visit, claims: dict[str, Any]) -> None:
    person = visit(live.stack)
    person.page.route("**/oauth2/token", lambda route: change_id_token(route, claims))
    person.open()
    person.page.get_by_role("button", name="Sign in").click()
    person.choose("alice")

    person.sees_problem("Sign-in refused", "id token")
    assert not person.page.locator("#workspace").is_visible()


def change_id_token(route: "Route", claims: dict[str, Any]) -> None:
    """Let a pool lie about who has signed in."""
    response = route.fetch()
    body = response.json()
    head, payload, signature = body["id_token"].split(".")
    old = json.loads(base64.urlsafe_b64decode(payload + "=="))
    new = base64.urlsafe_b64encode(json.dumps(old | claims).encode()).decode().rstrip("=")
    route.fulfill(response=response, json=body | {"id_token": f"{head}.{new}.{signature}"})
