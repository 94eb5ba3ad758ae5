"""Tokens of a machine: out of variables, without a login, and paid for once."""

from pathlib import Path

import pytest

import lambda_router
from lambda_router import servers, tokens
from lambda_router.errors import LoginRefused
from tests.client.conftest import Command
from tests.client.played_router import PlayedRouter


@pytest.fixture
def machine(router: PlayedRouter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PlayedRouter:
    """A router, and variables with its client for machines; nobody logged in."""
    secret = tmp_path / "secret"
    secret.write_text(f"{router.directory.machine.secret}\n")
    monkeypatch.setenv("LAMBDA_ROUTER_SERVER", router.url)
    monkeypatch.setenv("LAMBDA_ROUTER_CLIENT_ID", router.directory.machine.id)
    monkeypatch.setenv("LAMBDA_ROUTER_CLIENT_SECRET_FILE", str(secret))
    return router


def test_a_machine_needs_no_login_and_pays_for_one_token(machine: PlayedRouter, command: Command) -> None:
    first = command("token")
    second = command("token", "--server", machine.url)
    third = tokens.fresh_token()

    assert first.returncode == 0, first.stderr
    assert {first.stdout.strip(), second.stdout.strip(), third} == {third}
    assert machine.counted["client_credentials"] == 1


def test_a_machine_whose_file_is_damaged_asks_anew(machine: PlayedRouter, home: Path) -> None:
    tokens.fresh_token()
    (file,) = home.glob("*.tokens")
    file.write_text("{")
    tokens._kept.clear()

    assert tokens.fresh_token()
    assert machine.counted["client_credentials"] == 2


def test_a_removed_server_leaves_no_tokens(machine: PlayedRouter, command: Command, home: Path) -> None:
    tokens.fresh_token()
    assert command("servers", "remove", servers.load().servers[0].name).returncode == 0
    assert not list(home.glob("*.tokens"))


def test_a_machines_secret_may_be_replaced_while_a_program_runs(
    machine: PlayedRouter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("old")
    provide = lambda_router.token_provider()
    with pytest.raises(LoginRefused):
        provide()
    (tmp_path / "secret").write_text(str(machine.directory.machine.secret))
    assert provide()


def test_a_machine_whose_secret_is_wrong_is_told(machine: PlayedRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAMBDA_ROUTER_CLIENT_SECRET_FILE")
    monkeypatch.setenv("LAMBDA_ROUTER_CLIENT_SECRET", "wrong-and-secret")
    with pytest.raises(LoginRefused, match="invalid_client") as refused:
        tokens.fresh_token()
    assert "wrong-and-secret" not in str(refused.value)


def test_a_machine_with_no_secret_or_two_is_told(machine: PlayedRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMBDA_ROUTER_CLIENT_SECRET", "x")
    with pytest.raises(LoginRefused, match="either"):
        tokens.fresh_token()
    monkeypatch.delenv("LAMBDA_ROUTER_CLIENT_SECRET")
    monkeypatch.setenv("LAMBDA_ROUTER_CLIENT_SECRET_FILE", "/nowhere/secret")
    with pytest.raises(LoginRefused, match="/nowhere/secret"):
        tokens.fresh_token()
