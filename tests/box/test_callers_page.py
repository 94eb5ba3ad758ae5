"""The first lines of docs/callers.md as they are typed: in an empty home outside the repository."""

import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.box.installed import UV, Home, python
from tests.contract.repository import fences, page
from tests.e2e.running_stack import RunningStack, begin_stack
from tests.servers import free_port
from tools.publish import wheels

pytestmark = [pytest.mark.box, pytest.mark.timeout(300)]

BROWSER = f"{shlex.quote(sys.executable)} -m tests.client.a_browser %s &"


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    stack = RunningStack(port := free_port(), begin_stack(port))
    threading.Thread(target=stack.listen, daemon=True).start()
    stack.wait_until_ready()
    yield stack
    assert stack.stop() == 0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """An empty home, and the wheel in its folder ``dist``."""
    folder = tmp_path_factory.mktemp("home")
    list(wheels.build(folder / "dist", project=wheels.KIT))
    return Home(folder, tmp_path_factory.mktemp("cache"))


def test_each_of_the_first_lines_works_as_it_is_typed(stack: RunningStack, home: Home) -> None:
    interpreter = python("3.13")
    if interpreter is None:
        pytest.skip("no Python 3.13 here")
    install, login, chat, proxy = (line.partition(" #")[0].strip() for line in lines(stack))
    environ = home.environ | {
        "PATH": f"{home.folder}/.local/bin:{UV.parent}:/usr/bin:/bin",
        "UV_PYTHON": str(interpreter),
        "BROWSER": BROWSER,
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }

    def typed(line: str) -> str:
        ran = subprocess.run(
            ["sh", "-c", line], cwd=home.folder, env=environ, capture_output=True, text=True, check=False, timeout=200
        )
        assert ran.returncode == 0, f"{line}: {ran.stderr}"
        return ran.stdout

    typed(install)
    assert typed("command -v lambda-router").strip() == f"{home.folder}/.local/bin/lambda-router"
    typed(login)
    assert typed(chat) == "WHY IS THE SKY BLUE?\n"

    command = ["sh", "-c", f"exec {proxy.removesuffix('&')} --port 0"]
    with subprocess.Popen(command, cwd=home.folder, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        said = ""
        while "Key: " not in said:
            said += process.stderr.readline()
            assert process.poll() is None, said
        base_url, key = re.findall(r"(?:Base URL|Key): (\S+)", said)
        with OpenAI(base_url=base_url, api_key=key) as client:
            assert client.responses.create(model="tinyllama", input="hello").output_text == "HELLO"
        assert key == typed("lambda-router proxy --show-key").strip()
        process.send_signal(signal.SIGTERM)


def lines(stack: RunningStack) -> list[str]:
    """The page's lines, with the port of this stack."""
    first: str = fences(page("docs/callers.md"), "sh")[0]
    return first.replace("http://127.0.0.1:8000", stack.url).splitlines()
