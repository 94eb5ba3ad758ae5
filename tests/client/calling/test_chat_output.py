"""``lambda-router chat`` and what it writes where: terminal, pipe, full disk, JSON."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.client.calling.calls import RunHere, chat
from tests.client.calling.lying_router import (
    CANCEL,
    CREATE,
    JOB,
    MODELS,
    STREAM,
    LyingRouter,
    answer,
    began,
    ended,
    response,
    says,
    streams,
)
from tests.e2e.kit.kit_commands import environ_of, on_terminal, run_kit


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a device of Linux")
def test_a_full_disk_is_one_line_and_the_job_is_not_lost(lying: LyingRouter, kit: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        for command in (["chat", "-m", "tiny", "hello"], ["show", JOB]):
            ran = subprocess.run(
                [sys.executable, "-m", "lambda_router", *command],
                env=environ_of(kit),
                stdin=subprocess.DEVNULL,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=50,
                check=False,
            )
            assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 2 if command[0] == "chat" else 1)
    assert not lying.asked(CANCEL)


def test_an_answers_bytes_go_to_a_pipe_as_they_are_and_to_a_terminal_escaped(lying: LyingRouter, kit: Path) -> None:
    text = "\x1b]0;owned\x07 👩‍💻\tx\r\ny\u202e\ud800"
    lying.on(STREAM, streams(*answer(text)))
    assert chat(kit).stdout == text.replace("\ud800", "?") + "\n"
    with on_terminal(kit, "chat", "-m", "tiny", "hello") as running:
        assert running.end() == 0
        assert running.shows(r"\x1b]0;owned\x07 👩‍💻")
        assert running.shows(r"\u202e\ud800")
    assert "owned\x07" not in running.shown


def test_several_models_are_listed_and_none_is_chosen(lying: LyingRouter, kit: Path) -> None:
    lying.on(MODELS, says({"object": "list", "data": [{"id": "b\x1b"}, {"id": "a"}, {"no": "id"}]}))
    ran = run_kit(kit, "chat", "hello")
    assert ran.returncode == 1
    assert r"a, b\x1b" in ran.stderr
    assert not lying.asked(CREATE)
    assert run_kit(kit, "chat", "hello", LAMBDA_ROUTER_MODEL="a").stdout == "HELLO\n"


def test_a_failed_job_ends_with_status_3_and_its_reason_and_json_says_so_too(
    lying: LyingRouter, chat_here: RunHere
) -> None:
    failed = {"error": {"code": "server_error", "message": "timeout: too\x1b slow"}}
    lying.on(STREAM, streams(*began(), ended(3, "failed", **failed)))
    ran = chat_here()
    assert ran[:2] == (3, "")
    assert r"timeout: too\x1b slow" in ran[2]
    lying.on(STREAM, streams(*began(), ended(3, "failed", **failed)), says(response("failed", **failed)))
    ran = chat_here("--json")
    assert (ran[0], json.loads(ran[1])["status"]) == (3, "failed")


def test_the_place_in_line_is_one_line_on_the_terminal_and_none_in_a_pipe(lying: LyingRouter, kit: Path) -> None:
    def queued(call: Any) -> None:
        call.begin_stream()
        call.piece(b": keepalive\n\n")
        go_on.wait(30)
        for each in answer("HELLO"):
            call.piece(f"data: {json.dumps(each)}\n\n".encode())
        call.end_stream()

    go_on = lying.arrived
    lying.on(STREAM, queued)
    with on_terminal(kit, "chat", "-m", "tiny", "hello", columns=24, piped=True) as running:
        assert running.shows("place 3 in line")
        go_on.set()
        assert running.end() == 0
        assert running.pipes("HELLO\n")
    lines = running.shown.split("\r\x1b[2K")
    assert all(len(line) < 24 and "\n" not in line for line in lines)
    assert lines[-1] == ""
    with on_terminal(kit, "chat", "-m", "tiny", "hello", piped=True, TERM="dumb") as running:
        assert running.end() == 0
    assert running.shown == ""
