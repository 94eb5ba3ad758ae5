"""Fixtures of tests whose server lies: the server, a login to it, and commands."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lambda_router import cli
from tests.client.calling.lying_router import LyingRouter, lying_router
from tests.e2e.kit.kit_commands import make_home, run_kit
from tests.log_secrets import remember_secret

TOKEN = "a-token-that-no-output-may-hold"
RunHere = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lying() -> Iterator[LyingRouter]:
    with lying_router() as router:
        yield router


@pytest.fixture
def kit(lying: LyingRouter, home: Path) -> Path:
    remember_secret(TOKEN)
    return make_home(home, lying.url, TOKEN)


@pytest.fixture
def run_here(kit: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> RunHere:
    """Run a command in the test's process, which is cheaper; returns its status and what it wrote."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        out, err = capfdbinary.readouterr()
        assert TOKEN.encode() not in out + err
        return int(str(ended.value.code)), out.decode(), err.decode()

    return run


@pytest.fixture
def chat_here(run_here: RunHere) -> RunHere:
    """``chat`` with a question, in the test's process."""
    return lambda *options: run_here("chat", "-m", "tiny", *options, "hello")


def chat(kit: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """``chat`` with a question, as a process."""
    ran = run_kit(kit, "chat", "-m", "tiny", *options, "hello")
    assert TOKEN not in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    return ran
