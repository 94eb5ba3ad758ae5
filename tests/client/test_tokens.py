"""Fresh tokens: one request for everybody who needs one, and a store that survives whatever ends the process."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import lambda_router
from lambda_router import servers, store, token_endpoint, tokens
from lambda_router.errors import NotLoggedIn, ServerAway
from lambda_router.login import code_login
from lambda_router.store import Credentials
from tests.client.logins import expire
from tests.client.played_router import PlayedRouter, in_background
from tests.contract.repository import ROOT
from tools.local.pool.messages import Reply, Request, json_reply


def test_a_token_is_kept_until_shortly_before_its_end(logged_in: PlayedRouter) -> None:
    assert len({tokens.fresh_token() for _ in range(50)}) == 1
    tokens.forget(servers.find())
    tokens.fresh_token()
    assert logged_in.counted["refresh_token"] == 0


def test_a_token_from_memory_needs_no_disk(logged_in: PlayedRouter, home: Path) -> None:
    server = servers.find()
    token = tokens.token_of(server)
    shutil.rmtree(home)
    assert tokens.token_of(server) == tokens.memory_of(server) == token
    assert not home.exists()


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
