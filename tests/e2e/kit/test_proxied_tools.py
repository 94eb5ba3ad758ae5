"""Tools that know one fixed key, unmodified, through ``lambda-router proxy`` beside ``make run`` with short tokens."""

import json
import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import NotFoundError, OpenAI

from tests.client.proxy.proxied import Proxied, environment, starting
from tests.e2e.calling_model import MODEL, CallingModel, calling_model
from tests.e2e.conftest import StartStack
from tests.e2e.running_stack import RunningStack
from tests.patience import eventually
from tests.servers import free_port
from tools.stack.repository import ROOT

pytestmark = [pytest.mark.clients, pytest.mark.timeout(400)]

#: Of LiteLLM's proxy, which does not start without one. It is never the key of ours.
LITELLM_KEY = f"sk-{secrets.token_hex(24)}"
TOOLS = ROOT / ".venv-clients/bin"
#: LiteLLM's proxy takes a minute to start where other tests run.
_STARTED_WITHIN_SECONDS = 200


@pytest.fixture(scope="module")
def model() -> Iterator[CallingModel]:
    with calling_model() as model:
        yield model


@pytest.fixture(scope="module")
def stack(start_stack: StartStack, model: CallingModel) -> Iterator[RunningStack]:
    """A stack whose tokens last five seconds, so that the proxy renews them all the time."""
    often = {"ROUTER_RATE_PER_MINUTE": "6000", "ROUTER_RATE_BURST": "1000"}
    stack = start_stack(BACKEND=model.base_url, MODEL=MODEL, LOCAL_TOKEN_SECONDS="5", **often)
    yield stack
    assert '"status":401' not in stack.log("app").replace(" ", "")
    assert stack.stop() == 0


@pytest.fixture(scope="module")
def proxied(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    home = tmp_path_factory.mktemp("proxied") / "home"
    browser = {"BROWSER": f"{shlex.quote(sys.executable)} -m tests.client.a_browser %s &"}
    login = [sys.executable, "-m", "lambda_router", "login", stack.url]
    ran = subprocess.run(
        login, cwd=ROOT, env=environment(home) | browser, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    with starting(home, "--port", "0") as proxied:
        assert proxied.key
        yield proxied


def start_llm(proxied: Proxied, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start ``llm`` with a model of the proxy's and a fixed key, as its documentation describes it."""
    mine = {"model_id": "mine", "model_name": MODEL, "api_base": proxied.base_url, "api_key_name": "mine"}
    (folder / "extra-openai-models.yaml").write_text(json.dumps([mine]))  # JSON is YAML
    (folder / "keys.json").write_text(json.dumps({"mine": proxied.key}))
    environ = os.environ | {"LLM_USER_PATH": str(folder)}  # noqa: TID251  for a child
    command = [str(TOOLS / "llm"), "-m", "mine", *arguments]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_llm(proxied: Proxied, tmp_path: Path) -> None:
    with start_llm(proxied, tmp_path, "--no-stream", "hello you") as tool:
        answer, trouble = tool.communicate(timeout=120)
    assert (answer, tool.returncode) == ("HELLO YOU\n", 0), trouble


def test_llm_shows_the_first_word_before_the_second_is_there(
    proxied: Proxied, tmp_path: Path, model: CallingModel
) -> None:
    prompt = "held for llm"
    with start_llm(proxied, tmp_path, prompt) as tool:
        model.let_go(prompt, 1)
        assert tool.stdout is not None
        assert tool.stdout.read(4) == "HELD"
        model.let_go(prompt)
        answer, trouble = tool.communicate(timeout=120)
    assert (answer, tool.returncode) == (" FOR LLM\n", 0), trouble


@contextmanager
def litellms_proxy(proxied: Proxied, folder: Path) -> Iterator[str]:
    """LiteLLM's proxy in front of ours, with the fixed key; its base URL."""
    ours: dict[str, Any] = {"model": f"openai/{MODEL}", "api_base": proxied.base_url, "api_key": proxied.key}
    settings = {"num_retries": 0, "telemetry": False}
    config = {
        "model_list": [{"model_name": "mine", "litellm_params": ours}],
        "litellm_settings": settings,
        "general_settings": {"master_key": LITELLM_KEY},
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    port, log = free_port(), folder / "log"
    command = [str(TOOLS / "litellm"), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    # Without the list of prices that it would fetch from elsewhere.
    environ = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # noqa: TID251  for a child
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        assert process.poll() is None, log.read_text()[-3_000:]
        try:
            return httpx.get(f"{url}/health/liveliness", timeout=10, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    with log.open("w") as opened:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=opened, stderr=subprocess.STDOUT)
    try:
        assert eventually(is_up, _STARTED_WITHIN_SECONDS), log.read_text()[-3_000:]
        yield f"{url}/v1"
    finally:
        process.terminate()
        process.wait(30)


def test_litellms_proxy(proxied: Proxied, tmp_path: Path, model: CallingModel) -> None:
    prompt = "held for litellm"
    with (
        litellms_proxy(proxied, tmp_path) as url,
        OpenAI(base_url=url, api_key=LITELLM_KEY, max_retries=0, timeout=60) as client,
    ):
        whole = client.chat.completions.create(model="mine", messages=[{"role": "user", "content": "hello you"}])
        assert whole.choices[0].message.content == "HELLO YOU"
        stream = client.chat.completions.create(
            model="mine", messages=[{"role": "user", "content": prompt}], stream=True
        )
        words = (each.choices[0].delta.content for each in stream if each.choices and each.choices[0].delta.content)
        model.let_go(prompt, 1)
        assert next(words) == "HELD"
        model.let_go(prompt)
        assert "".join(words) == " FOR LITELLM"


def test_openais_own_client(proxied: Proxied) -> None:
    """With the fixed key for twice the life of a token: every call, and a stream that lasts longer than one."""
    with OpenAI(base_url=proxied.base_url, api_key=proxied.key, max_retries=0) as client:
        assert [model.id for model in client.models.list()] == [MODEL]
        assert client.models.retrieve(MODEL).id == MODEL
        text = "paced " + " ".join(["word"] * 900)
        events = list(client.responses.create(model=MODEL, input=text, stream=True))
        assert events[-1].type == "response.completed"
        response = client.responses.create(model=MODEL, input="hello", background=True)
        assert eventually(lambda: client.responses.retrieve(response.id).status == "completed", 30)
        assert client.responses.retrieve(response.id).output_text == "HELLO"
        assert client.responses.cancel(response.id).status == "completed"
        assert client.responses.input_items.list(response.id).data
        client.responses.delete(response.id)
        with pytest.raises(NotFoundError):
            client.responses.retrieve(response.id)
