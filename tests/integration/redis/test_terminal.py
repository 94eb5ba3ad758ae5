"""What callers, handlers and strangers wrote never controls a terminal or a reader of the log."""

import io
import json
import logging
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import redis
from aws_lambda_powertools.logging import Logger

from chalicelib.observability import log as router_log
from lambda_router_queue.models import Envelope
from lambda_router_worker.terminal import visible
from lambda_router_worker.worker_log import log as worker_log
from tests.integration.conftest import Lines, ReadJob, Submit
from tests.integration.in_redis import KEYS
from tests.integration.processes import clean_environment
from tests.integration.worker.worker_program import worker_process
from tests.integration.worker.worker_side import is_final
from tests.patience import eventually

#: Clears the screen, colours, C1's CSI, a bell, an override of direction, an isolate, line ends, a mark, DEL.
HOSTILE = "a\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp.exe\u2066\r\nfaked line\u2028\ufeff\x7fz"
HANDLERS = f"""
from lambda_router_worker.outcomes import JobFailed, TryAgain

def fails(job):
    raise JobFailed("code", {HOSTILE!r})

def gives_up(job):
    raise TryAgain("code", {HOSTILE!r})

class Züge(Exception):
    pass

def raises(job):
    raise Züge({HOSTILE!r})
"""


def hostile_in(text: str) -> set[str]:
    """Whatever is no line end and not to be seen."""
    return {each for each in text if each != "\n" and unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}


def operator(url: str, *words: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "lambda_router_worker", *words],
        env=clean_environment(REDIS_URL=url, PYTHONIOENCODING="utf-8"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=30,
    )
    assert ran.returncode in {0, 1}, ran.stdout
    assert b"Traceback" not in ran.stdout, ran.stdout
    return ran.stdout.decode()


@pytest.fixture
def hand_made(db: redis.Redis) -> dict[str, str]:
    """A dead letter that no script wrote."""
    fields = dict.fromkeys(("id", "code", "message", "attempts", "at"), HOSTILE) | {"job": "{}"}
    db.xadd(KEYS.dead, fields)  # type: ignore[arg-type]
    return fields


@pytest.mark.parametrize(
    "words", [["dead", "list"], ["dead", "show", HOSTILE], ["dead", "show", HOSTILE + "!"], ["dead", "retry", "--all"]]
)
def test_operators_commands_write_nothing_that_controls_a_terminal(
    redis_url: str, hand_made: dict[str, str], words: list[str]
) -> None:
    said = operator(redis_url, *words)

    assert hostile_in(said) == set()
    assert "\nfaked line" not in said
    assert "faked line" in said


def test_json_output_has_the_text_as_it_is(redis_url: str, hand_made: dict[str, str]) -> None:
    said = operator(redis_url, "dead", "list", "--json")

    assert hostile_in(said) == set()
    assert json.loads(said)[0]["message"] == HOSTILE


def test_an_entry_whose_numbers_are_none_is_listed_all_the_same(redis_url: str, db: redis.Redis) -> None:
    db.xadd(KEYS.dead, {"id": "x", "attempts": "9" * 5_000, "at": "99999999999999999999"})

    [letter] = json.loads(operator(redis_url, "dead", "list", "--json"))

    assert (letter["job_id"], letter["attempts"], letter["at"]) == ("x", 0, "1970-01-01T00:00:00.000Z")


def test_a_callers_prompt_is_shown_without_its_controls(redis_url: str, db: redis.Redis, submit: Submit) -> None:
    submit(HOSTILE)
    [(_, entry)] = next(filter(None, (db.xrange(stream) for stream in KEYS.streams)))
    job = Envelope.model_validate_json(entry["job"])
    db.xadd(KEYS.dead, {"id": job.id, "job": entry["job"], "code": "x", "message": "x", "attempts": 1, "at": 1})

    said = operator(redis_url, "dead", "show", job.id, "--input")

    assert hostile_in(said) == set()
    assert "faked line" in said


@pytest.mark.parametrize("handler", ["fails", "gives_up", "raises"])
def test_a_workers_log_holds_nothing_that_controls_a_terminal(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob, handler: str
) -> None:
    job_id = submit(type="once")
    with worker_process(tmp_path, redis_url, "--handler", f"my_handlers:{handler}", handlers=HANDLERS):
        assert eventually(is_final(read, job_id), seconds=20)
    assert hostile_in((tmp_path / "log").read_text()) == set()
    assert hostile_in(operator(redis_url, "dead", "list")) == set()


def test_a_worker_that_meets_a_hand_made_entry_logs_nothing_that_controls_a_terminal(
    tmp_path: Path, redis_url: str, db: redis.Redis
) -> None:
    db.xadd(KEYS.streams[0], {"id": HOSTILE, "job": HOSTILE})

    def text() -> str:
        return (tmp_path / "log").read_text()

    with worker_process(tmp_path, redis_url, "--handler", "lambda_router_worker.demo:answer"):
        assert eventually(lambda: "faked line" in text(), seconds=20)
    assert hostile_in(text()) == set()


@pytest.mark.parametrize("log", [router_log, worker_log], ids=["router", "worker"])
def test_a_log_line_is_plain_ascii_whatever_it_says(log: Logger, log_lines: Lines) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(log.registered_formatter)
    log.addHandler(handler)
    log.warning("test", extra={"reason": HOSTILE, "names": [HOSTILE]})
    log.removeHandler(handler)

    assert hostile_in(written.getvalue()) == set()
    assert log_lines()[-1]["reason"] == HOSTILE


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("grüße, 世界 🙂", "grüße, 世界 🙂"),
        ("\x1b[1m", "\\x1b[1m"),
        ("\u202e", "\\u202e"),
        ("\ud800", "\\ud800"),
        (7, "7"),
    ],
)
def test_what_can_be_seen_stays_as_it_is(text: Any, shown: str) -> None:
    assert visible(text) == shown
