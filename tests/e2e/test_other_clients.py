"""Clients of the OpenAI API besides OpenAI's own, unmodified, against the stack of ``make run``."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.calling_model import MODEL, calling_model
from tests.e2e.conftest import StartStack
from tests.e2e.running_stack import RunningStack
from tools.stack.repository import ROOT

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180)]

PYTHON = ROOT / ".venv-clients/bin/python"
PROGRAMS = Path(__file__).with_name("clients")


@pytest.fixture(scope="module")
def model_stack(start_stack: StartStack) -> Iterator[RunningStack]:
    """A stack with a model that calls tools."""
    with calling_model() as backend:
        stack = start_stack(BACKEND=backend.base_url, MODEL=MODEL)
        yield stack
        assert stack.stop() == 0


def told(stack: RunningStack, client: str) -> Any:
    """What a client's program says of the service."""
    command = [str(PYTHON), str(PROGRAMS / f"with_{client}.py"), f"{stack.url}/v1", stack.token(client)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr[-3_000:]
    return json.loads(ran.stdout.splitlines()[-1])


def test_langchain(model_stack: RunningStack) -> None:
    assert told(model_stack, "langchain") == {
        "plain": "HELLO",
        "called": "weather",
        "answered": "RAIN IN KÖLN",
        "responses": "HELLO",
        "streamed": "HELLO YOU",
        "responses streamed": "HELLO YOU",
        "call streamed": [{"city": "Köln"}],
    }


def test_litellm(model_stack: RunningStack) -> None:
    assert told(model_stack, "litellm") == {
        "plain": "HELLO",
        "responses": "HELLO",
        "streamed": "HELLO YOU",
        "responses streamed": "HELLO YOU",
    }
