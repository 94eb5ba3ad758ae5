"""``--log-format``: the worker's log for people."""

import io
import json
import logging
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambda_router_worker.text_log import TextFormatter
from lambda_router_worker.worker_log import log as worker_log
from tests.integration.conftest import Lines, ReadJob, Submit
from tests.integration.operators.a_terminal import on_a_terminal
from tests.integration.worker.worker_program import log_of, worker_process
from tests.integration.worker.worker_side import is_final
from tests.log_secrets import PROMPT_MARKER
from tests.patience import eventually

HOSTILE = "a\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2066\r\n2026-11-29 INFO faked=1\u2028\ufeff\x7f\x85z"
DEMO = ["--handler", "lambda_router_worker.demo:answer"]
RAISES = "def raises(job):\n    raise ValueError(job.input['prompt'])\n"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the worker's log writes as text."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(TextFormatter(worker_log.registered_formatter))
    worker_log.addHandler(handler)
    yield text
    worker_log.removeHandler(handler)


def test_a_line_has_time_level_event_and_every_field_of_the_json(written: io.StringIO, log_lines: Lines) -> None:
    facts = {"job_id": "job_1", "took_ms": 402, "jobs": ["a", "b"], "reason": 'two "words"', "empty": ""}
    worker_log.warning("worked", extra=facts)

    line, fields = written.getvalue(), log_lines()[-1]
    assert line.startswith(f"{fields['timestamp']} WARNING worked ")
    pairs = dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', line))
    shown = {name: value if value[0].isalpha() else json.loads(value) for name, value in pairs.items() if name in facts}
    assert shown == facts
    assert line.endswith(f"({fields['location']})\n")


@pytest.mark.parametrize("place", ["value", "name", "message", "exception", "list"])
def test_text_of_strangers_is_on_one_line_and_escaped(written: io.StringIO, place: str) -> None:
    extra: dict[str, object] = {
        "value": {"reason": HOSTILE},
        "name": {HOSTILE: "x"},
        "message": {},
        "exception": {"exception": HOSTILE},
        "list": {"names": [HOSTILE]},
    }[place]
    worker_log.error(HOSTILE if place == "message" else "test", extra=extra)

    _, *others = written.getvalue().splitlines()
    assert {each for each in written.getvalue() if unicodedata.category(each) in {"Cc", "Cf", "Zl"}} == {"\n"}
    assert written.getvalue().isascii()
    assert all(line.startswith("    | ") for line in others)
    assert bool(others) == (place == "exception")
    assert "faked=1" in written.getvalue()


def test_places_in_the_code_are_below_the_line_one_by_one(written: io.StringIO) -> None:
    worker_log.error("handler", extra={"exception": "a.py:1 in f\nb.py:2 in g"})

    assert written.getvalue().splitlines()[1:] == ["    | a.py:1 in f", "    | b.py:2 in g"]


def test_a_worker_writes_text_on_request_without_prompts_and_metrics(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob
) -> None:
    job_id = submit(PROMPT_MARKER, type="once")
    options = ["--handler", "my_handlers:raises", "--log-format", "text"]
    with worker_process(tmp_path, redis_url, *options, handlers=RAISES):
        assert eventually(is_final(read, job_id), seconds=20)
        log = tmp_path / "log"
        assert eventually(lambda: f" worked job_id={job_id} " in log.read_text())

    text = log.read_text()
    assert re.search(rf"ERROR   handler .*job_id={job_id} .*error=ValueError", text)
    assert "\n    | " in text
    for absent in (PROMPT_MARKER, "_aws", "DeadLetters", "redis://", '{"'):
        assert absent not in text


def test_a_worker_writes_json_where_there_is_no_terminal(tmp_path: Path, redis_url: str) -> None:
    with worker_process(tmp_path, redis_url, *DEMO):
        assert eventually(lambda: '"started"' in (tmp_path / "log").read_text(), seconds=20)

    assert [line["message"] for line in log_of(tmp_path)][:1] == ["started"]


@pytest.mark.parametrize(
    ("variables", "shown"), [({}, "INFO    started"), ({"WORKER_LOG_FORMAT": "json"}, '"message":"started"')]
)
def test_on_a_terminal_the_default_is_text_and_json_can_be_had(
    redis_url: str, variables: dict[str, str], shown: str
) -> None:
    with on_a_terminal(DEMO, redis_url, size=(300, 20), **variables) as terminal:
        assert terminal.shows(shown)
        terminal.press(b"\x03")
        assert terminal.ended() == 0


def test_another_format_is_refused_by_option_and_value(redis_url: str) -> None:
    with on_a_terminal([*DEMO, "--log-format", "xml"], redis_url) as terminal:
        assert terminal.ended() == 2
        assert "--log-format" in terminal.text
        assert "xml" in terminal.text
