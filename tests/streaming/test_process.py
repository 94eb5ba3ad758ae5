"""The process of the streaming function: its wrapper script, its start and its end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.repository import ROOT
from tests.streaming.runtime_double import LONG, TRACE, Lies, RuntimeDouble
from tests.streaming.task_folder import ended, process, task_folder

STREAMS = """
import os, sys, time

class Pieces:
    pieces = iter([b"first"])
    def __iter__(self): return self
    def __next__(self):
        time.sleep(0.01)
        return next(self.pieces, b"")
    def close(self): print("closed")

def app(event, context):
    body = Pieces() if event.get("stream") else "\\n".join([
        os.environ.get("_X_AMZN_TRACE_ID", ""), context.aws_request_id, sys.executable, os.getcwd(), *sys.path])
    print("called")
    return {"statusCode": 200, "headers": {}, "multiValueHeaders": {}, "body": body}
"""


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return task_folder(tmp_path, STREAMS)


def test_the_wrapper_starts_the_loop_in_the_runtimes_interpreter(task: Path, double: RuntimeDouble) -> None:
    with process(task, double):
        invoked = double.invoke({}).wait()
    trace, request_id, python, folder, *path = invoked.body.decode().splitlines()
    assert (trace, request_id, python, folder) == (TRACE, invoked.request_id, sys.executable, str(task))
    assert path[:2] == [str(task), str(task / "runtime")]


def test_a_path_that_is_set_goes_before_the_runtimes(task: Path, double: RuntimeDouble) -> None:
    with process(task, double, PYTHONPATH="/usr/share/layer"):
        invoked = double.invoke({}).wait()
    assert invoked.body.decode().splitlines()[4:7] == [str(task), "/usr/share/layer", str(task / "runtime")]


def test_what_the_app_prints_is_there_at_once(task: Path, double: RuntimeDouble) -> None:
    """Lambda may freeze the process before a buffer is full."""
    with process(task, double) as running:
        double.invoke({}).wait()
        assert running.stdout is not None
        assert running.stdout.readline() == "called\n"


def test_sigterm_within_a_stream_closes_its_pieces_and_leaves_it_incomplete(task: Path, double: RuntimeDouble) -> None:
    with process(task, double) as running:
        invoked = double.invoke({"stream": True})
        assert invoked.arrived.get(timeout=LONG) == b"first"
        running.send_signal(signal.SIGTERM)
        assert ended(running) == (0, "called\nclosed\n", "")
    assert not invoked.wait().ended


def test_sigterm_between_events_ends_the_process(task: Path, double: RuntimeDouble) -> None:
    with process(task, double) as running:
        double.invoke({}).wait()
        running.send_signal(signal.SIGTERM)
        assert ended(running)[0] == 0


@pytest.mark.parametrize(
    ("app", "handler", "error", "message"),
    [
        ("import no_such_module", "app.app", "Runtime.ModuleNotFoundError", "No module named 'no_such_module'"),
        ("def app(", "app.app", "Runtime.SyntaxError", "was never closed"),
        ("", "app.app", "Runtime.AttributeError", "has no attribute 'app'"),
        ("", "nowhere.app", "Runtime.ModuleNotFoundError", "nowhere"),
        ("", "app", "Runtime.ValueError", "Empty module name"),
    ],
    ids=["import", "syntax", "no handler", "no module", "no dot"],
)
def test_an_app_that_cannot_be_imported_is_reported_and_explained(
    tmp_path: Path, double: RuntimeDouble, app: str, handler: str, error: str, message: str
) -> None:
    with process(task_folder(tmp_path, app), double, _HANDLER=handler) as running:
        status, out, _ = ended(running)

    assert status == 1
    line = json.loads(out)
    assert (line["level"], line["message"]) == ("ERROR", "start_failed")
    assert "Traceback" in line["exception"]
    assert double.failed_to_start.is_set()
    assert double.start_error is not None
    assert double.start_error["header"] == double.start_error["errorType"] == error
    assert message in double.start_error["errorMessage"]
    assert message in line["explanation"]


def test_a_start_from_a_snapshot_is_refused_with_the_reason(task: Path, double: RuntimeDouble) -> None:
    with process(task, double, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start") as running:
        assert ended(running)[0] == 1
    assert double.start_error is not None
    assert double.start_error["errorType"] == "Runtime.SnapStartUnsupported"
    assert "snap_start" in double.start_error["errorMessage"]


def test_a_broken_environment_ends_the_process_with_a_reason(task: Path, double: RuntimeDouble) -> None:
    with process(task, double) as running:
        double.invoke({}, Lies(status=500))
        status, _, err = ended(running)
    assert (status, err) == (1, "the Runtime API replies with status 500\n")


def test_the_wrapper_can_be_executed_and_git_says_so() -> None:
    name = "chalicelib/streaming/wrapper"
    staged = subprocess.run(["git", "ls-files", "--stage", name], cwd=ROOT, check=True, capture_output=True, text=True)
    assert staged.stdout.startswith("100755 ")
    assert os.access(ROOT / name, os.X_OK)
