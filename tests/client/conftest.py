"""A home without a keyring, a played router, and a login to it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lambda_router.login import code_login
from tests.client.calling.calls import chat_here, kit, lying, run_here
from tests.client.played_router import PlayedRouter, in_background, playing
from tests.contract.repository import ROOT

__all__ = ["chat_here", "kit", "lying", "run_here"]  # fixtures of another module

NO_KEYRING = "keyring.backends.fail.Keyring"

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kit's folder: empty, and never that of the person who runs the tests."""
    for name in [name for name in os.environ if name.startswith("LAMBDA_ROUTER_")]:  # noqa: TID251
        monkeypatch.delenv(name)
    monkeypatch.setenv("LAMBDA_ROUTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", NO_KEYRING)
    import keyring.core

    keyring.core.set_keyring(keyring.core.load_keyring(NO_KEYRING))
    return tmp_path / "home"


@pytest.fixture
def router() -> Iterator[PlayedRouter]:
    with playing() as router:
        yield router


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def logged_in(router: PlayedRouter, said: list[str]) -> PlayedRouter:
    """The router, with a login to it that is the default."""
    code_login.in_browser(code_login.begin(router.url), said.append, in_background)
    return router


@pytest.fixture
def command() -> Command:
    """Run ``lambda-router`` as a process to its end."""

    def run(*arguments: str, given: str = "", **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "lambda_router", *arguments],
            cwd=ROOT,
            env=os.environ | environ,  # noqa: TID251
            input=given,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return run
