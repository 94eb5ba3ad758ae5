"""Fresh tokens: one request for everybody who needs one, and a store that survives whatever ends the process."""

import asyncio
import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

import lambda_router
from lambda_router import servers, store, token_endpoint, tokens
from lambda_router.errors import LoginRefused, NotLoggedIn, ServerAway, UnknownServer
from lambda_router.login import code_login
from lambda_router.store import Credentials
from tests.client.conftest import Command
from tests.client.played_router import PlayedRouter, eventually, in_background, playing
from tests.contract.repository import ROOT
from tools.local.pool.messages import Reply, Request, json_reply

NAME = "local"


@pytest.fixture
def short(said: list[str]) -> Iterator[PlayedRouter]:
    """A router whose tokens last five seconds, and a login to it."""
    with playing(token_seconds=5) as router:
        code_login.in_browser(code_login.begin(router.url, NAME), said.append, in_background)
        yield router


def expire() -> Credentials:
    """Make the stored token one that is over, and drop it from memory."""
    server = servers.find()
    found = store.load(server.name)
    assert found
    old = replace(found, received_at=time.time() - 7_200, expires_at=time.time() - 3_600)
    store.save(server.name, old)
    tokens.forget(server)
    return old


def test_a_token_is_kept_until_shortly_before_its_end(logged_in: PlayedRouter) -> None:
    assert len({tokens.fresh_token() for _ in range(50)}) == 1
    tokens.forget(servers.find())
    tokens.fresh_token()
    assert logged_in.counted["refresh_token"] == 0


@pytest.mark.parametrize("life", [5.0, 20.0, 3_600.0, 86_400.0])
def test_a_token_is_renewed_before_its_end_but_not_at_once(life: float) -> None:
    got = Credentials("t", 1_000.0, 1_000.0 + life)
    assert tokens.is_fresh(got, 1_000.0 + life / 2)
    assert not tokens.is_fresh(got, 1_000.0 + life - min(60, life / 5))
    assert not tokens.is_fresh(got, 990.0), "the clock was set back"


def test_fifty_threads_at_the_moment_of_expiry_cause_one_refresh(logged_in: PlayedRouter) -> None:
    expire()
    together = threading.Barrier(50)

    def ask() -> str:
        together.wait(20)
        return tokens.fresh_token()

    with ThreadPoolExecutor(50) as pool:
        got = {each.result() for each in [pool.submit(ask) for _ in range(50)]}

    assert len(got) == 1
    assert logged_in.counted["refresh_token"] == 1


def test_processes_at_the_moment_of_expiry_cause_one_refresh(logged_in: PlayedRouter) -> None:
    expire()
    command = [sys.executable, "-m", "lambda_router", "token"]
    started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    got = {each.communicate(timeout=50)[0] for each in started}

    assert len(got) == 1
    assert logged_in.counted["refresh_token"] == 1


def test_coroutines_share_a_refresh_too(logged_in: PlayedRouter) -> None:
    expire()
    provide = lambda_router.async_token_provider()

    async def ask() -> set[str]:
        return set(await asyncio.gather(*(provide() for _ in range(20))))

    assert len(asyncio.run(ask())) == 1
    assert logged_in.counted["refresh_token"] == 1


def test_the_new_refresh_token_is_stored_before_the_access_token_is_handed_out(
    logged_in: PlayedRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = expire()
    got = tokens.fresh_token()
    found = store.load(servers.find().name)

    assert found
    assert found.access_token == got
    assert found.refresh_token not in {"", old.refresh_token}


def test_a_disk_that_refuses_hands_out_no_token_whose_refresh_token_is_lost(
    logged_in: PlayedRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = expire()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(lambda_router.BadStorage, match="No space left"):
            tokens.fresh_token()
    assert store.load(servers.find().name) == old
    assert not list(store.path_of("x").parent.glob(".*"))
    assert tokens.fresh_token()


def test_a_refresh_that_is_killed_leaves_a_usable_store(logged_in: PlayedRouter) -> None:
    """SIGKILL between the issuer's answer and the store: the old refresh token still has its grace period."""
    old, answered = expire(), threading.Event()

    def slowly(_: Request, reply: Reply) -> Reply:
        answered.set()
        return reply

    logged_in.lies["/oauth2/token"] = slowly
    code = (
        "import os, time; from lambda_router import store, tokens;"
        "store.save = lambda *_: (print('answered', flush=True), time.sleep(60)); tokens.fresh_token()"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "answered\n"
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    assert answered.is_set()
    assert store.load(servers.find().name) == old
    assert tokens.fresh_token()
    assert logged_in.counted["refresh_token"] == 2


def test_a_refresh_token_that_is_over_asks_for_a_login(logged_in: PlayedRouter) -> None:
    expire()
    logged_in.lies["/oauth2/token"] = lambda *_: json_reply({"error": "invalid_grant"}, 400)
    with pytest.raises(NotLoggedIn, match="lambda-router login"):
        tokens.fresh_token()


@pytest.mark.parametrize("reply", [Reply(500), Reply(429), Reply(302, {"Location": "http://evil"})])
def test_an_issuer_in_trouble_costs_no_login(logged_in: PlayedRouter, reply: Reply) -> None:
    expire()
    logged_in.lies["/oauth2/token"] = lambda *_: reply
    with pytest.raises(ServerAway):
        tokens.fresh_token()
    del logged_in.lies["/oauth2/token"]
    assert tokens.fresh_token()


def test_a_token_with_some_time_to_go_serves_while_the_issuer_is_away(logged_in: PlayedRouter) -> None:
    server = servers.find()
    found = store.load(server.name)
    assert found
    store.save(server.name, replace(found, received_at=time.time() - 3_590, expires_at=time.time() + 10))
    tokens.forget(server)
    logged_in.lies["/oauth2/token"] = lambda *_: Reply(503)

    assert tokens.fresh_token() == found.access_token


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"access_token": 1, "token_type": "Bearer"}', b'{"access_token": "a\\nb"}', b"<html>"],
)
def test_an_issuer_that_answers_rubbish_costs_no_login(logged_in: PlayedRouter, body: bytes) -> None:
    old = expire()
    logged_in.lies["/oauth2/token"] = lambda *_: Reply(200, {}, body)
    with pytest.raises(lambda_router.KitError):
        tokens.fresh_token()
    assert store.load(servers.find().name) == old


def test_an_issuer_without_rotation_keeps_its_refresh_token(logged_in: PlayedRouter) -> None:
    def without(_: Request, reply: Reply) -> Reply:
        return json_reply({name: each for name, each in json.loads(reply.body).items() if name != "refresh_token"})

    old = expire()
    logged_in.lies["/oauth2/token"] = without
    tokens.fresh_token()
    found = store.load(servers.find().name)
    assert found
    assert found.refresh_token == old.refresh_token


def an_hour_behind() -> Any:
    """The module ``time`` of a machine whose clock is wrong; the issuer's is right."""
    return SimpleNamespace(time=lambda: time.time() - 3_600)


def test_a_clock_that_is_an_hour_off_changes_nothing(logged_in: PlayedRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    expire()
    for module in (token_endpoint, tokens):
        monkeypatch.setattr(module, "time", an_hour_behind())
    assert tokens.fresh_token() == tokens.fresh_token()
    assert logged_in.counted["refresh_token"] == 1


def test_a_clock_that_is_wrong_is_told_at_login(
    router: PlayedRouter, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_endpoint, "time", an_hour_behind())
    code_login.in_browser(code_login.begin(router.url), said.append, in_background)
    assert "60 minutes behind" in said[-1]


def test_a_token_from_the_future_is_renewed(logged_in: PlayedRouter) -> None:
    """The clock was ahead, and was set back: the times in the file cannot be true."""
    server = servers.find()
    found = store.load(server.name)
    assert found
    store.save(server.name, replace(found, received_at=time.time() + 9_000, expires_at=time.time() + 12_600))
    tokens.forget(server)
    assert tokens.fresh_token() != found.access_token


# In code


def test_openais_clients_see_no_401_across_many_expiries(short: PlayedRouter) -> None:
    """Tokens of five seconds for eight seconds: polling and streaming, with and without asyncio."""
    until = time.monotonic() + 8

    def in_a_thread() -> int:
        calls = 0
        with OpenAI(base_url=f"{short.url}/v1", api_key=lambda_router.token_provider(), max_retries=0) as client:
            while time.monotonic() < until:
                client.models.list()
                messages = [{"role": "user", "content": "hello"}]
                stream = client.chat.completions.create(model="m", messages=messages, stream=True)  # type: ignore[call-overload]
                assert [each.choices[0].delta.content for each in stream] == ["HELLO", None]
                calls += 1
                time.sleep(0.2)
        return calls

    async def in_a_loop() -> int:
        calls, provide = 0, lambda_router.async_token_provider()
        async with AsyncOpenAI(base_url=f"{short.url}/v1", api_key=provide, max_retries=0) as client:
            while time.monotonic() < until:
                await client.models.list()
                calls += 1
                await asyncio.sleep(0.2)
        return calls

    with ThreadPoolExecutor(1) as pool:
        in_thread = pool.submit(in_a_thread)
        looped = asyncio.run(in_a_loop())
        assert min(in_thread.result(), looped) > 5
    assert short.refused == 0
    assert 2 <= short.counted["refresh_token"] <= 8


def test_a_provider_for_an_unknown_server_fails_where_it_is_made() -> None:
    with pytest.raises(UnknownServer):
        lambda_router.token_provider("nowhere")
    with pytest.raises(UnknownServer):
        lambda_router.async_token_provider()


# Machines


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


# Secrets


def test_no_log_and_no_error_has_a_token(
    logged_in: PlayedRouter, caplog: pytest.LogCaptureFixture, command: Command
) -> None:
    old = expire()
    with caplog.at_level(logging.DEBUG):
        got = tokens.fresh_token()
    logged_in.lies["/oauth2/token"] = lambda *_: json_reply(
        {"error": "invalid_grant", "error_description": old.refresh_token}, 400
    )
    new = expire()
    ran = command("token")

    assert ran.returncode == 4
    written = caplog.text + ran.stderr + repr(old) + repr(new) + repr(logged_in.pool.metadata())
    for secret in (got, old.access_token, old.refresh_token, new.refresh_token):
        assert secret not in written


def test_the_process_list_shows_no_token(logged_in: PlayedRouter) -> None:
    """``curl -H @-`` reads the header from its input."""
    holder = threading.Event()
    logged_in.lies["/v1/models"] = lambda _, reply: (holder.wait(20), reply)[1]
    line = f"{shlex.quote(sys.executable)} -m lambda_router token --header | curl -s -H @- {logged_in.url}/v1/models"
    with subprocess.Popen(["sh", "-c", line], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        eventually(lambda: logged_in.counted["/v1/models"] == 1)
        shown = "".join(path.read_bytes().decode("latin-1") for path in _command_lines())
        holder.set()
        assert json.loads(process.communicate(timeout=20)[0])["object"] == "list"
    assert "curl" in shown
    assert tokens.fresh_token() not in shown


def _command_lines() -> Iterator[Path]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if path.exists():
            yield path
