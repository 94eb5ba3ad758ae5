"""The loop of a process that runs strangers' code ends when its work is done."""

import asyncio
import gc
import sys
import threading
import time
from typing import Any

import pytest

from lambda_router_worker.processing import event_loop
from tests.integration.conftest import Lines


async def leave() -> None:
    raise SystemExit("secret")


def test_the_work_s_answer_is_returned_and_its_exception_raised():
    async def answer() -> int:
        return 42

    assert event_loop.run(answer()) == 42
    with pytest.raises(SystemExit, match="secret"):
        event_loop.run(leave())


@pytest.fixture(autouse=True)
def no_leftovers() -> None:
    """Tasks that the cases before left behind are not this one's: they are told of when they are collected."""
    gc.collect()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, ValueError])
def test_what_tasks_and_callbacks_fail_with_is_logged_without_its_text_and_the_work_goes_on(
    log_lines: Lines, error: type[BaseException]
):
    def fail() -> None:
        raise error("secret")

    async def fail_later() -> None:
        await asyncio.sleep(0)
        fail()

    async def work() -> str:
        tasks = [asyncio.create_task(fail_later()) for _ in range(2)]
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.wait(tasks)
        del tasks
        return "done"

    assert event_loop.run(work()) == "done"
    lines = [line for line in log_lines() if line["message"] == "background task"]
    assert len(lines) >= 3
    assert {line["error"] for line in lines} == {error.__name__}
    assert all("in test_what_tasks" in line["exception"] for line in lines)
    assert "secret" not in str(log_lines())


def test_what_a_thread_fails_with_is_logged_without_its_text(log_lines: Lines):
    def fail() -> None:
        raise ValueError("secret")

    async def work() -> None:
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()

    before = threading.excepthook, sys.unraisablehook
    event_loop.run(work())
    assert [line["error"] for line in log_lines()] == ["ValueError"]
    assert "secret" not in str(log_lines())
    assert (threading.excepthook, sys.unraisablehook) == before


def test_tasks_left_behind_are_ended_even_if_they_leave_or_will_not(log_lines: Lines, monkeypatch: Any):
    monkeypatch.setattr(event_loop, "LEFTOVER_SECONDS", 0.1)
    ended: list[str] = []

    async def tidy() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("tidy")

    async def rude() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            sys.exit("secret")

    async def stubborn() -> None:
        while not ended or len(ended) < 3:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                ended.append("stubborn")

    kept: list[asyncio.Task[None]] = []

    async def work() -> None:
        kept.extend(asyncio.create_task(each()) for each in (tidy, rude, stubborn))
        await asyncio.sleep(0)

    began = time.monotonic()
    event_loop.run(work())
    assert time.monotonic() - began < 2
    assert sorted(ended) == ["stubborn", "tidy"]
    assert "secret" not in str(log_lines())
    kept.clear()


def test_a_loop_that_cannot_run_is_an_error_and_no_endless_one():
    async def inside_another() -> None:
        work = leave()
        try:
            event_loop.run(work)
        finally:
            work.close()

    with pytest.raises(RuntimeError, match="another loop is running"):
        asyncio.run(inside_another())
