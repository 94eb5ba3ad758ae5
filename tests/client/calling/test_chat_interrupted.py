"""``lambda-router chat`` whose person or reader leaves: the job is cancelled, or the person is told that it goes on."""

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.client.calling.lying_router import (
    CANCEL,
    CREATE,
    JOB,
    STREAM,
    LyingRouter,
    began,
    delta,
    hangs,
    holds,
    response,
    says,
)
from tests.e2e.kit.kit_commands import environ_of, on_terminal
from tests.patience import eventually


def test_a_reader_who_leaves_cancels_the_job(lying: LyingRouter, kit: Path) -> None:
    lying.on(STREAM, _endless)
    command = f"{shlex.quote(sys.executable)} -m lambda_router chat -m tiny hello; echo $? >&2"
    ran = subprocess.run(
        ["sh", "-c", f"({command}) | head -c 3"], env=environ_of(kit), capture_output=True, text=True, timeout=50,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert ran.stdout == "abc"
    assert ran.stderr.splitlines()[-1] == "141"
    assert "Traceback" not in ran.stderr
    assert len(lying.asked(CANCEL)) == 1


def _endless(call: Any) -> None:
    call.begin_stream()
    for each in began():
        call.piece(f"data: {json.dumps(each)}\n\n".encode())
    number = 3
    while True:  # until the reader has left, when sending raises
        call.piece(f"data: {json.dumps(delta(number, 'abc'))}\n\n".encode())
        number += 1


def test_ctrl_c_before_the_id_came_cancels_what_was_stored(lying: LyingRouter, kit: Path) -> None:
    lying.on(CREATE, hangs, says(response("queued")))
    with on_terminal(kit, "chat", "-m", "tiny", "hello") as running:
        assert eventually(lambda: lying.asked(CREATE), 20)
        running.press_ctrl_c()
        assert running.end() == 130
        assert running.shows(f"{JOB} is cancelled")
    assert len({call.headers["idempotency-key"] for call in lying.asked(CREATE)}) == 1


def test_a_second_ctrl_c_leaves_at_once(lying: LyingRouter, kit: Path) -> None:
    lying.on(STREAM, holds)
    lying.on(CANCEL, hangs)
    with on_terminal(kit, "chat", "-m", "tiny", "hello") as running:
        assert running.shows("A")
        running.press_ctrl_c()
        assert eventually(lambda: lying.asked(CANCEL), 20)
        running.press_ctrl_c()
        assert running.end() == 130
    assert "Traceback" not in running.shown


def test_a_cancellation_that_fails_is_told(lying: LyingRouter, kit: Path) -> None:
    lying.on(STREAM, holds)
    lying.on(CANCEL, says({"title": "Queue unavailable", "detail": "Later."}, 503))
    with on_terminal(kit, "chat", "-m", "tiny", "hello") as running:
        assert running.shows("A")
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 130
        assert running.shows("goes on: Queue unavailable")
