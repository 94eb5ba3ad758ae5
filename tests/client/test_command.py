"""The command as a process: what it prints where, and how it ends."""

import json
import time
from pathlib import Path

import pytest

from lambda_router import cli, servers, store, tokens
from lambda_router.login import code_login
from tests.client.conftest import Command
from tests.client.played_router import PlayedRouter, in_background, playing
from tools.local.pool.messages import Reply


def test_a_token_and_nothing_else(logged_in: PlayedRouter, command: Command) -> None:
    ran = command("token")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"{tokens.fresh_token()}\n"
    assert command("token", "--header").stdout == f"Authorization: Bearer {ran.stdout}"


def test_nobody_logged_in_is_status_4_and_one_line(command: Command) -> None:
    ran = command("token")
    assert (ran.returncode, ran.stdout) == (4, "")
    assert ran.stderr.count("\n") == 1


def test_an_issuer_that_is_away_is_status_5(command: Command, said: list[str]) -> None:
    with playing(token_seconds=1) as router:
        code_login.in_browser(code_login.begin(router.url), said.append, in_background)
    time.sleep(1)  # the first token's whole life
    ran = command("token")
    assert (ran.returncode, ran.stdout) == (5, "")


@pytest.mark.parametrize("arguments", [["nonsense"], ["token", "--nonsense"], ["login"]])
def test_wrong_options_are_status_2(command: Command, arguments: list[str]) -> None:
    assert command(*arguments).returncode == 2


def test_logout_revokes_and_forgets(logged_in: PlayedRouter, command: Command) -> None:
    name = servers.find().name
    old = store.load(name)
    assert old
    assert command("logout").returncode == 0
    assert store.load(name) is None
    assert command("token").returncode == 4
    store.save(name, old)
    tokens.forget(servers.find())
    assert logged_in.counted["/oauth2/revoke"] == 1


def test_logout_forgets_even_if_the_issuer_is_away(logged_in: PlayedRouter, command: Command) -> None:
    logged_in.lies["/oauth2/revoke"] = lambda *_: Reply(503)
    ran = command("logout")
    assert (ran.returncode, store.load(servers.find().name)) == (5, None)


def test_a_revoked_login_gets_no_tokens(logged_in: PlayedRouter, command: Command, said: list[str]) -> None:
    with playing(token_seconds=1, grace_seconds=0) as router:
        code_login.in_browser(code_login.begin(router.url, "brief"), said.append, in_background)
        found = store.load("brief")
        assert found
        command("logout", "--server", "brief")
        store.save("brief", found)
        time.sleep(1)  # the first token's whole life
        assert command("token", "--server", "brief").returncode == 4


def test_several_servers_side_by_side(logged_in: PlayedRouter, command: Command, said: list[str]) -> None:
    first = servers.find().name
    with playing() as other:
        code_login.in_browser(code_login.begin(other.url, "other"), said.append, in_background)
        theirs = command("token", "--server", "other").stdout
        assert theirs == command("token", LAMBDA_ROUTER_SERVER=other.url).stdout
        assert theirs != command("token").stdout

        assert command("servers", "default", "other").returncode == 0
        assert theirs == command("token").stdout
        listed = json.loads(command("servers", "--json").stdout)
        assert [(each["name"], each["default"]) for each in listed] == [(first, False), ("other", True)]

        assert command("servers", "remove", "other").returncode == 0
        assert command("servers").stdout.split()[:2] == ["*", first]
        assert command("token", "--server", "other").returncode == 4
        assert command("servers", "remove", "other").returncode == 4


def test_each_command_has_its_help_without_a_login(command: Command) -> None:
    ran = command("--help")
    assert ran.returncode == 0
    assert set(cli.COMMANDS) <= set(ran.stdout.split())
    for name in ("login", "logout", "token", "servers"):
        assert command(name, "--help").returncode == 0


def test_a_home_that_is_a_file_is_told(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = command("token", LAMBDA_ROUTER_HOME=str(tmp_path / "file"))
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
