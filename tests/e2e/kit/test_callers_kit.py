"""The callers' kit beside ``make run``, as docs/callers.md shows it, with tokens that last seconds."""

import asyncio
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

import lambda_router
from tests import npm
from tests.contract.repository import ROOT, fences, page
from tests.e2e.conftest import StartStack
from tests.e2e.running_stack import RunningStack

MODEL = "tinyllama"
JAVASCRIPT = Path(__file__).parents[1] / "javascript"
BIN = Path(sys.executable).parent
#: One caller makes all calls of a test.
OFTEN = {"ROUTER_RATE_PER_MINUTE": "6000", "ROUTER_RATE_BURST": "1000"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of the kit without a keyring, for this process and those that it starts."""
    folder = tmp_path_factory.mktemp("kit")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LAMBDA_ROUTER_HOME", str(folder))
        patched.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        patched.setenv("BROWSER", f"{shlex.quote(sys.executable)} -m tests.client.a_browser %s &")
        patched.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")  # noqa: TID251
        yield folder


def run(line: str) -> "subprocess.CompletedProcess[str]":
    """What a person types."""
    return subprocess.run(["sh", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def short_stack(start_stack: StartStack, home: Path) -> Iterator[RunningStack]:
    """A stack whose tokens last five seconds, and a login to it by its address alone."""
    stack = start_stack(LOCAL_TOKEN_SECONDS="5", **OFTEN)
    ran = run(f"lambda-router login {stack.url}")
    assert ran.returncode == 0, ran.stderr
    yield stack
    assert stack.stop() == 0


def test_the_lines_of_the_readme_print_the_words(short_stack: RunningStack) -> None:
    (block,) = (each for each in fences(page("README.md"), "sh") if "lambda-router login" in each)
    login, chat = block.splitlines()

    assert run(login.replace("http://127.0.0.1:8000", short_stack.url)).returncode == 0
    assert run(chat).stdout == "WHY IS THE SKY BLUE?\n"


def test_a_token_goes_to_curl_off_the_process_list(short_stack: RunningStack) -> None:
    for _ in range(2):
        ran = run(f"lambda-router token --header | curl -sS --fail -H @- {short_stack.url}/v1/models")
        assert ran.returncode == 0, ran.stderr
        assert MODEL in ran.stdout


def call_until(stack: RunningStack, until: float) -> int:
    """Polls, held answers and streams, one after the other; a 401 would be raised."""
    calls, messages = 0, [{"role": "user", "content": "hello"}]
    with OpenAI(base_url=f"{stack.url}/v1", api_key=lambda_router.token_provider(), max_retries=0) as client:
        while time.monotonic() < until:
            stream: Any = client.chat.completions.create(model=MODEL, messages=messages, stream=True)  # type: ignore[call-overload]
            assert "".join(each.choices[0].delta.content or "" for each in stream if each.choices) == "HELLO"
            response = client.responses.create(model=MODEL, input="hello", background=True)
            while response.status in {"queued", "in_progress"} and time.monotonic() < until + 10:
                time.sleep(0.1)
                response = client.responses.retrieve(response.id)
            assert response.output_text == "HELLO"
            calls += 1
            time.sleep(0.5)
    return calls


async def call_in_a_loop_until(stack: RunningStack, until: float) -> int:
    calls, provide = 0, lambda_router.async_token_provider()
    async with AsyncOpenAI(base_url=f"{stack.url}/v1", api_key=provide, max_retries=0) as client:
        while time.monotonic() < until:
            stream = await client.responses.create(model=MODEL, input="hello", stream=True)
            assert [each.type async for each in stream][-1] == "response.completed"
            calls += 1
            await asyncio.sleep(0.5)
    return calls


def call_from_javascript(stack: RunningStack, seconds: float) -> int:
    """The lines of docs/openai.md, and a loop behind them."""
    (lines,) = [each for each in fences(page("docs/openai.md"), "js") if "lambda-router" in each]
    npm.install(JAVASCRIPT)
    loop = """
const until = Date.now() + SECONDS * 1000;
let calls = 0;
while (Date.now() < until) {
  for await (const event of await client.responses.create({ model: "tinyllama", input: "hello", stream: true })) event;
  await client.models.list();
  calls += 1;
  await new Promise((resolve) => setTimeout(resolve, 500));
}
console.log(calls);
"""
    program = re.sub(r'baseURL: "[^"]+"', f'baseURL: "{stack.url}/v1", maxRetries: 0', lines)
    program += loop.replace("SECONDS", str(seconds))
    ran = subprocess.run(
        ["node", "--input-type=module"],
        cwd=JAVASCRIPT,
        input=program,
        capture_output=True,
        text=True,
        timeout=seconds + 40,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2_000:]
    return int(ran.stdout)


def all_at_once(stack: RunningStack, seconds: float) -> list[int]:
    """How many calls each of three clients made; none of them saw a 401."""
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(2) as pool:
        threads = [pool.submit(call_until, stack, until), pool.submit(call_from_javascript, stack, seconds)]
        looped = asyncio.run(call_in_a_loop_until(stack, until))
        return [looped, *(each.result() for each in threads)]


def test_three_clients_see_no_401_while_tokens_end_every_five_seconds(short_stack: RunningStack) -> None:
    assert min(all_at_once(short_stack, 11)) > 3
    assert '"status":401' not in short_stack.log("app").replace(" ", "")


@pytest.mark.clients
@pytest.mark.timeout(240)
def test_three_clients_see_no_401_for_ninety_seconds(start_stack: StartStack, home: Path) -> None:
    stack = start_stack(LOCAL_TOKEN_SECONDS="20", **OFTEN)
    assert run(f"lambda-router login {stack.url} --default").returncode == 0
    assert min(all_at_once(stack, 90)) > 30
    assert '"status":401' not in stack.log("app").replace(" ", "")


def test_the_machines_client_of_the_local_pool_needs_no_login(
    short_stack: RunningStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = short_stack.facts
    monkeypatch.setenv("LAMBDA_ROUTER_HOME", str(tmp_path))
    monkeypatch.setenv("LAMBDA_ROUTER_CLIENT_ID", facts["machine_client_id"])
    monkeypatch.setenv("LAMBDA_ROUTER_CLIENT_SECRET", facts["machine_client_secret"])
    ran = run(f"lambda-router token --header --server {short_stack.url} | curl -sS -H @- {short_stack.url}/v1/models")
    assert MODEL in ran.stdout, ran.stderr


def test_logout_ends_the_login(short_stack: RunningStack) -> None:
    assert run("lambda-router logout").returncode == 0
    assert run("lambda-router token").returncode == 4
