"""Hostile surroundings: broken peers, odd environments, damaged files, and logins that cross each other."""

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from lambda_router import addresses, http, pinning, servers, store, tokens
from lambda_router.discovery import discover
from lambda_router.errors import BadServer, BadStorage, KitError, NotLoggedIn, ServerAway, UnknownServer
from lambda_router.login import code_login
from lambda_router.servers import Server
from lambda_router.store import Credentials
from tests.client.conftest import Command
from tests.client.played_router import PlayedRouter, in_background, playing
from tools.local.pool.messages import Reply, Request, json_reply

SECRET = "SECRET-TOKEN"


def test_a_name_that_becomes_another_servers_never_takes_its_tokens_along(
    logged_in: PlayedRouter, said: list[str]
) -> None:
    """A proxy or a client object lives longer than a name: in memory, and with the file."""
    first = servers.find()
    its_token = tokens.token_of(first)
    with servers.changing():
        servers.save(servers.load().without(first.name))
    with playing() as other:
        code_login.in_browser(code_login.begin(other.url, first.name), said.append, in_background)
        second = servers.find()
        assert (second.name, second.url) == (first.name, other.url)
        assert tokens.token_of(second) != its_token
        tokens.forget(first)
        with pytest.raises(NotLoggedIn):
            tokens.token_of(first)
        assert logged_in.counted["refresh_token"] == 0


def test_two_first_logins_at_once_do_not_replace_each_other(router: PlayedRouter, said: list[str]) -> None:
    with playing() as other:
        late = code_login.begin(router.url, "api")
        code_login.in_browser(code_login.begin(other.url, "api"), said.append, in_background)
        with pytest.raises(UnknownServer):
            code_login.in_browser(late, said.append, in_background)
        assert [each.url for each in servers.load().servers] == [other.url]
        found = store.load("api")
        assert found is not None
        assert found.access_token == tokens.fresh_token("api")


def test_an_issuer_that_another_login_pinned_meanwhile_counts(logged_in: PlayedRouter) -> None:
    with pytest.raises(BadServer):
        pinning.remember(replace(servers.find(), issuer="https://other.example"))


@pytest.mark.parametrize(
    "answer", [f'{{"access_token": "{SECRET}"}}\r\n\r\n', f"HTTP/1.1 200 OK\r\n{SECRET}\0: x\r\n\r\n"]
)
def test_an_answer_that_is_no_http_is_not_quoted(answer: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer.encode())

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(ServerAway) as caught:
            http.get(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..b"])
def test_a_name_that_is_no_hosts_is_an_error_of_the_kit(host: str) -> None:
    with pytest.raises(KitError):
        http.get(f"https://{host}/")


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "ftp://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_one_line(command: Command, proxy: str) -> None:
    ran = command("login", "https://api.invalid", ALL_PROXY=proxy, HTTPS_PROXY=proxy, NO_PROXY="")
    assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1)
    assert "ALL_PROXY" in ran.stderr


@pytest.mark.parametrize("endpoint", ["https://a/\u202e", "https://a\x1bc/", "https://a/\x07"])
@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "revocation_endpoint"])
def test_an_endpoint_with_control_characters_is_refused(router: PlayedRouter, name: str, endpoint: str) -> None:
    path = f"/{router.directory.pool_id}/.well-known/openid-configuration"
    router.lies[path] = lambda _, reply: json_reply(json.loads(reply.body) | {name: endpoint})
    with pytest.raises(BadServer):
        discover(router.url)


@pytest.mark.parametrize("lifetime", [10**400, -(10**400), float("nan")])
def test_a_lifetime_that_is_no_time_ends_no_login_with_a_traceback(
    router: PlayedRouter, said: list[str], lifetime: float
) -> None:
    def lie(_: Request, reply: Reply) -> Reply:
        return json_reply(json.loads(reply.body) | {"expires_in": lifetime})

    router.lies["/oauth2/token"] = lie
    code_login.in_browser(code_login.begin(router.url), said.append, in_background)
    found = store.load(servers.find().name)
    assert found is not None
    assert 0 <= found.expires_at - found.received_at <= 7 * 86_400


@pytest.mark.parametrize("date", ["x", "Mon, 01 Jan 0001 00:00:00 +9999", f"Mon, 01 Jan 2024 00:00:00 +{'9' * 30}"])
def test_a_date_that_is_none_tells_no_time(router: PlayedRouter, date: str) -> None:
    assert http.clock(date) is None


@pytest.mark.parametrize("name", ["servers.lock", "local.tokens.lock", "key.lock", "proxy.lock"])
def test_a_lock_that_cannot_be_had_is_an_error_of_the_kit(home: Path, name: str) -> None:
    from lambda_router.proxy import key

    server = Server("local", "http://127.0.0.1:1", "i", "c", (), "t")
    (home / name).mkdir(parents=True)
    uses: dict[str, Callable[[], object]] = {
        "servers.lock": lambda: pinning.remember(server),
        "local.tokens.lock": lambda: tokens.token_of(server),
        "key.lock": lambda: store.save("local", Credentials("t", 0.0, 1.0)),
        "proxy.lock": key.load,
    }
    with pytest.raises(BadStorage):
        uses[name]()


@pytest.mark.parametrize(
    "damage",
    [{"access_token": 5}, {"access_token": "a\nb"}, {"received_at": None}, {"expires_at": "x"}, {"more": "x"},
     {"expires_at": float("nan")}, {"refresh_token": []}],
)  # fmt: skip
def test_damaged_tokens_ask_for_a_login(logged_in: PlayedRouter, damage: dict[str, object]) -> None:
    server = servers.find()
    path = store.path_of(server.name)
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    tokens.forget(server)
    with pytest.raises(NotLoggedIn):
        tokens.token_of(server)


@pytest.mark.parametrize("damage", [{"url": 6}, {"name": None}, {"scopes": "ab"}, {"scopes": [1]}])
def test_a_damaged_list_of_servers_is_an_error_of_the_kit(
    logged_in: PlayedRouter, home: Path, damage: dict[str, object]
) -> None:
    path = home / "servers.json"
    found = json.loads(path.read_text())
    found["servers"][0] |= damage
    path.write_text(json.dumps(found))
    with pytest.raises(BadStorage):
        servers.find()
    path.write_text(json.dumps(found | {"servers": [], "default": [time.time()]}))
    with pytest.raises(BadStorage):
        servers.find()


@pytest.mark.parametrize(
    ("endpoint", "server", "is_allowed"),
    [
        ("https://pool.example/x", "https://api.example", True),
        ("https://pool.example/x", "http://127.0.0.1:8000", True),
        ("http://127.0.0.1:9/x", "http://localhost:8000", True),
        ("http://pool.example/x", "http://127.0.0.1:8000", False),
        ("http://127.0.0.1:9200/_shutdown", "https://api.example", False),
        ("https://localhost/x", "https://api.example", False),
        ("https://[::1]/x", "https://api.example", False),
        ("ftp://127.0.0.1/x", "http://127.0.0.1:8000", False),
    ],
)
def test_a_server_elsewhere_cannot_name_an_endpoint_on_this_machine(
    endpoint: str, server: str, is_allowed: bool
) -> None:
    assert addresses.is_private_way(endpoint, server) is is_allowed


def test_nobody_logs_in_where_the_tokens_cannot_be_stored(router: PlayedRouter, home: Path) -> None:
    (home / "servers.lock").mkdir(parents=True)
    with pytest.raises(BadStorage):
        code_login.begin(router.url)
    assert not router.counted


def test_a_head_that_comes_byte_by_byte_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_TIMEOUT_SECONDS", 0.5)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not over.wait(0.05):
                    connection.sendall(b"a")

        threading.Thread(target=serve, daemon=True).start()
        ending = threading.Timer(20, over.set)
        ending.start()
        with pytest.raises(ServerAway, match="took more than"):
            http.get(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        assert not over.is_set()
        over.set()
        ending.cancel()


def test_a_server_without_tls_at_an_https_address_is_told(router: PlayedRouter) -> None:
    with pytest.raises(ServerAway, match="perhaps http"):
        discover(router.url.replace("http://", "https://"))
