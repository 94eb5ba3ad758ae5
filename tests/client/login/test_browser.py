"""The login in the browser: who gets tokens, and what a hostile page or program gets instead."""

import base64
import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from lambda_router import servers, store, tokens
from lambda_router.errors import KitError, LoginRefused, ServerAway, UnknownServer
from lambda_router.login import code_login, loopback
from tests.client.played_router import RESOURCE, PlayedRouter, in_background, visit
from tools.local.pool.clients import LOGIN_REDIRECTS
from tools.local.pool.messages import Reply


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits two minutes for an answer that a test withholds."""
    monkeypatch.setattr(code_login, "WAIT_SECONDS", 1.0)


def test_a_login_stores_tokens_that_the_router_accepts(router: PlayedRouter, said: list[str]) -> None:
    code_login.in_browser(code_login.begin(router.url), said.append, in_background)

    (server,) = servers.load().servers
    assert (server.url, server.issuer) == (router.url, router.pool.issuer)
    assert tokens.fresh_token(server.name).count(".") == 2
    assert router.counted["authorization_code"] == 1


def test_the_redirects_are_those_that_are_registered() -> None:
    assert tuple(map(loopback.redirect_uri, loopback.PORTS)) == LOGIN_REDIRECTS


@contextmanager
def another_program() -> Iterator[int]:
    """The port at which another program listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_another_program_at_the_port_makes_the_login_use_the_next(
    router: PlayedRouter, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    registered = loopback.PORTS[1:]
    used: list[str] = []
    with another_program() as taken:
        monkeypatch.setattr(loopback, "PORTS", (taken, *registered))
        code_login.in_browser(
            code_login.begin(router.url), said.append, lambda address: (used.append(address), in_background(address))
        )
    (redirect,) = parse_qs(urlsplit(used[0]).query)["redirect_uri"]
    assert redirect in map(loopback.redirect_uri, registered)


def test_no_port_left_is_refused_with_the_way_out(
    router: PlayedRouter, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with another_program() as one, another_program() as two:
        monkeypatch.setattr(loopback, "PORTS", (one, two))
        with pytest.raises(LoginRefused, match="--no-browser"):
            code_login.in_browser(code_login.begin(router.url), said.append, in_background)


def test_a_forged_state_gets_nothing_and_the_real_answer_still_counts(router: PlayedRouter, said: list[str]) -> None:
    forged: list[int] = []

    def browser(address: str) -> None:
        query = parse_qs(urlsplit(address).query)
        redirect = query["redirect_uri"][0]
        forged.append(visit(f"{redirect}?code=evil&state=forged").status_code)
        forged.append(visit(f"{redirect}?code=evil").status_code)
        forged.append(visit(f"{redirect}?code=evil&state={query['state'][0]}&state=x").status_code)
        in_background(address)

    code_login.in_browser(code_login.begin(router.url), said.append, browser)

    assert forged == [400, 400, 400]
    assert servers.load().servers


def test_an_answer_counts_once(router: PlayedRouter) -> None:
    with loopback.Listener("s") as listener:
        first = visit(f"{listener.redirect_uri}?code=a&state=s")
        second = visit(f"{listener.redirect_uri}?code=b&state=s")
        assert listener.wait(5) == {"code": "a", "state": "s"}

    assert (first.status_code, second.status_code) == (200, 400)
    assert "no-store" in first.headers["cache-control"]
    style = first.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert first.headers["content-security-policy"] == f"default-src 'none'; style-src 'sha256-{digest}'"


def test_connections_that_say_nothing_do_not_hold_the_answer_up() -> None:
    with loopback.Listener("s") as listener:
        port = urlsplit(listener.redirect_uri).port
        assert port
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            visit(f"{listener.redirect_uri}?code=a&state=s")
            assert listener.wait(5)


def test_no_answer_ends_the_login_and_tells_what_to_register(
    router: PlayedRouter, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    with pytest.raises(LoginRefused, match=r"http://127\.0\.0\.1:2871[1-5]/callback"):
        code_login.in_browser(code_login.begin(router.url), said.append, lambda _: None)
    assert not servers.load().servers


def test_a_server_without_a_public_client_is_refused_with_the_setting(router: PlayedRouter) -> None:
    router.document["lambda_router_client_id"] = None
    with pytest.raises(LoginRefused, match="COGNITO_LOGIN_CLIENT_ID"):
        code_login.begin(router.url)


def test_a_redirect_that_is_not_registered_is_told_before_a_browser_opens(
    router: PlayedRouter, said: list[str]
) -> None:
    router.lies["/oauth2/authorize"] = lambda *_: Reply(
        302, {"Location": f"{router.url}/error?error=redirect_mismatch"}
    )
    with pytest.raises(LoginRefused, match=r"register http://127\.0\.0\.1:28711/callback"):
        code_login.in_browser(code_login.begin(router.url), said.append, lambda _: pytest.fail("a browser opened"))


def test_a_scope_that_is_not_allowed_is_told(router: PlayedRouter, said: list[str]) -> None:
    router.document["scopes_supported"] = ["lambda-router/jobs", "lambda-router/all"]
    with pytest.raises(LoginRefused, match="lambda-router/all"):
        code_login.in_browser(code_login.begin(router.url), said.append, in_background)


def test_a_login_that_the_page_refuses_ends_at_once(router: PlayedRouter, said: list[str]) -> None:
    def browser(address: str) -> None:
        query = parse_qs(urlsplit(address).query)
        visit(f"{query['redirect_uri'][0]}?error=access_denied&state={query['state'][0]}")

    with pytest.raises(LoginRefused, match="access_denied"):
        code_login.in_browser(code_login.begin(router.url), said.append, browser)


def test_a_known_server_is_logged_in_again_by_its_name(logged_in: PlayedRouter) -> None:
    (server,) = servers.load().servers
    assert code_login.begin(server.name).server.url == logged_in.url
    assert code_login.begin(f"{logged_in.url}/v1/").server.name == server.name
    with pytest.raises(UnknownServer, match=server.name):
        code_login.begin(logged_in.url, "other")


@pytest.mark.parametrize("name", ["", "a/b", "-x", "A", "x" * 64, "../x"])
def test_a_name_that_cannot_be_used_is_refused(router: PlayedRouter, name: str) -> None:
    with pytest.raises(UnknownServer):
        code_login.begin(router.url, name)


def test_a_server_that_is_away_is_told(router: PlayedRouter) -> None:
    with pytest.raises(ServerAway, match="cannot be reached"):
        code_login.begin("http://127.0.0.1:1")
    router.lies[RESOURCE] = lambda *_: Reply(503)
    with pytest.raises(ServerAway, match="503"):
        code_login.begin(router.url)


def test_a_login_replaces_the_tokens_of_another_user(logged_in: PlayedRouter, said: list[str], home: Path) -> None:
    first = tokens.fresh_token()
    code_login.in_browser(code_login.begin(logged_in.url), said.append, lambda address: in_background(address, "alice"))
    assert tokens.fresh_token() != first


def test_two_logins_at_once_use_two_ports(router: PlayedRouter, said: list[str]) -> None:
    failed: list[KitError] = []

    def once() -> None:
        try:
            code_login.in_browser(code_login.begin(router.url), said.append, in_background)
        except KitError as error:
            failed.append(error)

    threads = [threading.Thread(target=once) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failed
    assert len(servers.load().servers) == 1
    assert store.load(servers.load().servers[0].name)


def test_a_machine_without_a_browser_is_told_at_once_how_to_log_in(router: PlayedRouter, said: list[str]) -> None:
    def no_browser(address: str) -> bool:
        assert in_background(address)
        return False

    code_login.in_browser(code_login.begin(router.url), said.append, no_browser)
    assert "--no-browser" in said[1]
