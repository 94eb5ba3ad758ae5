"""The command as a process: what it prints where, and how it ends."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lambda_router import cli, servers, store, tokens
from lambda_router.login import code_login
from lambda_router.servers import ServerList
from tests.client.conftest import Command
from tests.client.played_router import PlayedRouter, in_background, playing
from tests.contract.repository import ROOT
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


@pytest.mark.parametrize(("reply", "status"), [(Reply(503), 5), (Reply(200, {}, b" " * 1_000_000), 1)])
def test_logout_forgets_even_if_the_issuer_is_away_or_lies(
    logged_in: PlayedRouter, command: Command, reply: Reply, status: int
) -> None:
    logged_in.lies["/oauth2/revoke"] = lambda *_: reply
    ran = command("logout")
    assert (ran.returncode, store.load(servers.find().name)) == (status, None)


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


def test_logout_revokes_tokens_that_others_can_read(logged_in: PlayedRouter, command: Command) -> None:
    path = store.path_of(servers.find().name)
    path.chmod(0o644)
    assert command("token").returncode == 4
    assert command("logout").returncode == 0
    assert not path.exists()
    assert logged_in.counted["/oauth2/revoke"] == 1


def test_an_issuer_that_revokes_nothing_is_told_of_at_logout(logged_in: PlayedRouter, command: Command) -> None:
    servers.save(ServerList((replace(servers.find(), revocation_endpoint=""),), servers.find().name))
    ran = command("logout")
    assert (ran.returncode, store.load(servers.find().name)) == (4, None)


@pytest.mark.parametrize("name", ["servers", "key", "proxy"])
def test_a_server_may_have_the_name_of_one_of_the_kits_files(
    router: PlayedRouter, command: Command, said: list[str], name: str
) -> None:
    """``servers.example.com`` gets such a name by itself."""
    code_login.in_browser(code_login.begin(router.url, name), said.append, in_background)
    assert command("token", "--server", name).returncode == 0
    assert command("proxy", "--show-key").returncode == 0
    assert command("servers", "remove", name).returncode == 0


WRITING = [["token"], ["servers"], ["proxy", "--show-key"]]


@pytest.mark.parametrize("arguments", WRITING, ids=" ".join)
def test_a_reader_who_left_ends_any_command_quietly(logged_in: PlayedRouter, arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    ran = run_to(write, arguments)
    os.close(write)
    assert (ran.returncode, ran.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a device of Linux")
@pytest.mark.parametrize("arguments", [*WRITING, ["--help"]], ids=" ".join)
def test_a_full_disk_is_one_line_in_any_command(logged_in: PlayedRouter, arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = run_to(full.fileno(), arguments)
    assert ran.returncode == 1
    assert ran.stderr.startswith("lambda-router: ")
    assert len(ran.stderr.splitlines()) == 1


def run_to(out: int, arguments: list[str]) -> "subprocess.CompletedProcess[str]":
    """The command, with its standard output to a descriptor."""
    line = [sys.executable, "-m", "lambda_router", *arguments]
    return subprocess.run(line, cwd=ROOT, stdout=out, stderr=subprocess.PIPE, text=True, timeout=50, check=False)


@pytest.mark.parametrize("given", ["", "\n \n"])
def test_a_login_to_which_nothing_is_pasted_says_so(router: PlayedRouter, command: Command, given: str) -> None:
    ran = command("login", "--no-browser", router.url, given=given)
    assert ran.returncode == 4
    assert ran.stderr.splitlines()[-1].startswith("> lambda-router: ")


def test_a_new_server_with_the_issuer_of_a_known_one_is_warned_of(logged_in: PlayedRouter, command: Command) -> None:
    """It would get tokens that the known one accepts."""
    with playing() as other:
        other.document["authorization_servers"] = [logged_in.pool.issuer]
        said = command("login", "--no-browser", other.url).stderr
    warning = next(line for line in said.splitlines() if line.startswith("Warning: "))
    assert logged_in.url in warning
    assert other.url in warning
    assert "Warning: " not in command("login", "--no-browser", logged_in.url).stderr


def test_empty_lines_before_what_is_pasted_do_not_count(router: PlayedRouter, command: Command) -> None:
    ran = command("login", "--no-browser", router.url, given="\n\nno-such-code\n")
    assert "invalid_grant" in ran.stderr
