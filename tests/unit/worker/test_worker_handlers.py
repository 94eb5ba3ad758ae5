"""lambda_router_worker.processing.handlers: ``module:function`` becomes something to await, or a clear refusal."""

import asyncio
import inspect
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lambda_router_queue.models import Envelope
from lambda_router_worker.processing.handlers import BadHandler, load_handler

JOB = Envelope(
    v=1,
    id="job_" + "0" * 32,
    type="generate",
    queue="tinyllama",
    input={"prompt": "hello"},
    owner="owner",
    priority="normal",
    created_at=1,
    deadline_at=2,
    metadata={},
    request_id="request",
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)

MODULE = """
import functools
import threading

async def waited_for(job):
    return ["async", job.input["prompt"]]

def plain(job):
    return ["plain", job.input["prompt"], threading.current_thread() is threading.main_thread()]

def with_default(job, shout=False):
    return ["default", shout]

def of_many(*jobs, **options):
    return ["many", len(jobs)]

async def _two(word, job):
    return [word, job.input["prompt"]]

bound = functools.partial(_two, "partial")

class Model:
    def method(self, job):
        return ["method", job.input["prompt"]]

    async def async_method(self, job):
        return ["async method", job.input["prompt"]]

    async def __call__(self, job):
        return ["object", job.input["prompt"]]

model = Model()
method = model.method
async_method = model.async_method
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with a module in it; what is imported from it is forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "a_module.py").write_text(MODULE)
    yield tmp_path
    for name in ("a_module", "slow", "broken"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("waited_for", ["async", "hello"]),
        ("plain", ["plain", "hello", False]),
        ("with_default", ["default", False]),
        ("of_many", ["many", 1]),
        ("bound", ["partial", "hello"]),
        ("method", ["method", "hello"]),
        ("async_method", ["async method", "hello"]),
        ("model", ["object", "hello"]),
    ],
)
def test_whatever_takes_the_job_is_a_handler(folder: Path, name: str, result: Any):
    found = asyncio.run(_awaited(load_handler(f"a_module:{name}")))
    if inspect.iscoroutine(found):
        found.close()
    assert found == result


async def _awaited(handler: Any) -> Any:
    return await handler(JOB)


def test_a_plain_function_does_not_hold_the_event_loop_up(folder: Path):
    (folder / "slow.py").write_text(
        "import threading\nevent = threading.Event()\ndef wait(job):\n    return event.wait(5)\n"
    )
    handler = load_handler("slow:wait")

    async def scenario() -> Any:
        work = asyncio.create_task(_awaited(handler))
        await asyncio.sleep(0.05)
        event: threading.Event = sys.modules["slow"].event
        event.set()
        return await work

    assert asyncio.run(scenario()) is True


def test_the_working_directory_is_looked_in_once(folder: Path):
    for _ in range(3):
        load_handler("a_module:plain")
    assert sys.path.count(str(folder)) == 1


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "wants module:function"),
        ("a_module", "wants module:function"),
        ("a_module:", "wants module:function"),
        (":plain", "wants module:function"),
        ("no_such_module:plain", "cannot be imported"),
        ("a_module.below:plain", "cannot be imported"),
        (".a_module:plain", "cannot be imported"),
        ("a_module:nothing", "has no 'nothing'"),
        ("a_module:_two", "takes one argument"),
        ("a_module:__name__", "takes one argument"),
        ("a_module:threading", "takes one argument"),
        ("builtins:dict", "takes one argument"),
    ],
    ids=["empty", "no function", "empty function", "no module", "no such module", "no package", "relative",
         "no such function", "two arguments", "text", "module", "no signature"],
)  # fmt: skip
def test_what_is_no_handler_is_refused_by_name(folder: Path, path: str, words: str):
    with pytest.raises(BadHandler) as raised:
        load_handler(path)
    assert repr(path) in str(raised.value)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import no_such_thing", "no_such_thing"),
        ("from os import no_such_name", "no_such_name"),
        ("raise TypeError('broken at import')", "broken at import"),
        ("import os\nos.no_such_attribute", "no_such_attribute"),
        ("raise RuntimeError('no GPU here')", "no GPU here"),
        ("def broken(:", "SyntaxError"),
    ],
    ids=["its import is missing", "its name is missing", "TypeError", "AttributeError", "RuntimeError", "SyntaxError"],
)
def test_a_module_that_breaks_at_import_is_refused_with_the_real_reason(folder: Path, text: str, words: str):
    (folder / "broken.py").write_text(text)
    with pytest.raises(BadHandler) as raised:
        load_handler("broken:answer")
    assert "cannot be imported" in str(raised.value)
    assert words in str(raised.value)
