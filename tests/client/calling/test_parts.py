"""Parts of the commands that call a server: events, ids, words for a terminal, the answer, the table."""

from typing import Any

import click
import pytest

from lambda_router.calling.answer import Answer, AnswerChangedError
from lambda_router.calling.event_stream import events_in
from lambda_router.calling.job_ids import job_id_of, response_of
from lambda_router.calling.job_table import COLUMNS, row_of, table
from lambda_router.calling.refusals import refusal, seconds_in
from lambda_router.calling.steps import end_of_job, end_of_response
from lambda_router.calling.terminal import one_line, readable
from lambda_router.calling.times import seconds_of, span
from lambda_router.calling.waiting import place_of
from lambda_router.errors import BadServer, KitError
from lambda_router.servers import Server

DIGITS = "0123456789abcdef" * 2
UUID = "01234567-89ab-cdef-0123-456789abcdef"
MINUTE = "1970-01-01T00:01:00.000Z"
STREAM = (
    b': hi\r\n\r\nevent: x\r\ndata: {"a":\ndata:"\xe2\x80\xa8\xf0\x9f\x91\x8b"}\n\ndata: {}\n\n'
    b'id: 1\n\ndata: [DONE]\n\ndata: {"b": 1}\n\n'
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_events_are_the_same_in_pieces_of_any_size(size: int) -> None:
    pieces = [STREAM[place : place + size] for place in range(0, len(STREAM), size)]
    assert list(events_in(pieces)) == [None, {"a": "\u2028👋"}, {}]


def test_an_event_that_was_cut_off_is_none() -> None:
    assert list(events_in([b'data: {"a": 1}\n\ndata: {"b": 2}\n'])) == [{"a": 1}]


@pytest.mark.parametrize(
    "raw", [b"data: {\n\n", b"data: []\n\n", b"data: \xff\n\n", b"data: " + b"[" * 100_000 + b"\n\n"]
)
def test_an_event_that_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(BadServer):
        list(events_in([raw]))


def test_an_event_without_end_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(BadServer):
        list(events_in(b"x" * 1_048_576 for _ in range(100)))
    with pytest.raises(BadServer):
        list(events_in(b"data: " + b"x" * 1_048_576 + b"\n" for _ in range(100)))


@pytest.mark.parametrize(
    "typed", [DIGITS, UUID, f"job_{DIGITS}", f"resp_{DIGITS}", f"chatcmpl-{DIGITS}", f" job_{UUID.upper()} "]
)
def test_an_id_is_known_in_every_form(typed: str) -> None:
    assert job_id_of(typed) == f"job_{DIGITS}"
    assert response_of(job_id_of(typed)) == f"resp_{DIGITS}"


@pytest.mark.parametrize(
    "typed", ["", "job_", DIGITS[1:], f"{DIGITS}0", f"run_{DIGITS}", "../jobs", f"{UUID[:8]}{UUID[9:]}", "\u0661" * 32]
)
def test_what_is_no_id_is_refused_by_name(typed: str) -> None:
    with pytest.raises(click.BadParameter):
        job_id_of(typed)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n\tb", "a\n\tb"),
        ("\x1b[31m\r\x7f\x9b", r"\x1b[31m\r\x7f\x9b"),
        ("\u202e\u2066\u2028\ufeff\ud800", r"\u202e\u2066\u2028\ufeff\ud800"),
        ("👩‍💻 نمی‌خواهم 日本　語 a\u00a0b soft\u00adhyphen", "👩‍💻 نمی‌خواهم 日本　語 a\u00a0b soft\u00adhyphen"),
    ],
    ids=["lines", "controls", "formats", "scripts"],
)
def test_a_terminal_gets_all_scripts_and_nothing_that_it_obeys(text: str, shown: str) -> None:
    assert readable(text) == shown
    assert one_line(text) == shown.replace("\n", r"\n").replace("\t", r"\t")


def test_a_long_cell_is_cut() -> None:
    assert one_line("x" * 20, 5) == "xxxx…"


def written(*steps: Any, may_begin_over: bool = False) -> str:
    """What an answer writes: texts are added, None begins anew, a tuple ends it."""
    out: list[str] = []
    answer = Answer(out.append, (lambda: out.append("|")) if may_begin_over else None, "show it")
    for step in steps:
        if step is None:
            answer.anew()
        elif isinstance(step, tuple):
            answer.end(step[0])
        else:
            answer.add(step)
    answer.end_line()
    return "".join(out)


def test_what_was_written_is_not_written_twice() -> None:
    assert written("one ", "two", None, "on", "e t", "wo three", ("one two three four",)) == "one two three four\n"
    assert written("line\n", (None,)) == "line\n"
    assert written(("",)) == ""


@pytest.mark.parametrize(
    "steps", [("one", None, "two"), ("one", ("two",)), ("one two", None, "one three"), ("one two", ("one",))]
)
def test_an_answer_that_contradicts_what_was_written_begins_over_or_is_an_error(steps: Any) -> None:
    with pytest.raises(AnswerChangedError):
        written(*steps)
    last = steps[-1] if isinstance(steps[-1], str) else steps[-1][0]
    assert written(*steps, may_begin_over=True) == f"{steps[0]}|{last}\n"


@pytest.mark.parametrize(
    ("status", "document", "parts"),
    [
        (404, {"title": "Not found", "detail": "No job.", "instance": "r-1"}, ["Not found: No job.", "r-1"]),
        (429, {"error": {"message": "Too many.", "code": "x", "param": "y"}}, ["429: Too many."]),
        (500, {"message": "Internal server error"}, ["500: Internal server error"]),
        (500, {"title": 7, "detail": [], "error": "no", "instance": {}}, ["500"]),
        (401, {}, ["401", "lambda-router login https://there/prod"]),
    ],
    ids=["problem", "OpenAI", "gateway", "nonsense", "no login"],
)
def test_every_form_of_refusal_is_one_line(status: int, document: Any, parts: list[str]) -> None:
    import json

    server = Server("there", "https://there/prod", "i", "c", (), "t")
    said = str(refusal(server, status, {}, json.dumps(document).encode()))
    assert [part for part in parts if part not in said] == []
    assert isinstance(refusal(server, status, {}, b"\xff<html>"), KitError)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("99999", 300.0), (None, None), ("", None), ("-1", None), ("²", None), ("soon", None)],
)
def test_a_retry_after_is_a_bounded_whole_number(text: str | None, seconds: float | None) -> None:
    assert seconds_in(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0 s"), (59.9, "59 s"), (119, "119 s"), (120, "2 min"), (7_300, "2 h"), (400_000, "4 d")]
)
def test_spans_are_short(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize("found", [None, 7, "", "yesterday", "0001-01-01T00:00:00.000Z"])
def test_what_is_no_time_is_none(found: object) -> None:
    assert seconds_of(found) is None or seconds_of(found) < 0  # type: ignore[operator]
    assert seconds_of("1970-01-01T00:01:00.500Z") == 60.5


@pytest.mark.parametrize(
    ("job", "text"),
    [
        ({"status": "queued", "position": 2, "estimated_start_at": MINUTE}, "place 2 in line, expected start in 50 s"),
        ({"status": "queued", "position": 2}, "place 2 in line, no worker reports"),
        ({"status": "queued", "estimated_start_at": MINUTE}, "waiting, expected start in 50 s"),
        ({"status": "queued", "position": "x\x1b"}, "waiting"),
        ({"status": "in_progress", "position": 2}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_a_place_is_told_while_there_is_one(job: Any, text: str) -> None:
    assert place_of(job, 10.0) == text


def test_a_table_has_straight_columns_whatever_the_server_sends() -> None:
    jobs: list[dict[str, Any]] = [
        {"id": "job_1", "status": "queued", "position": 4, "created_at": "1970-01-01T00:00:00.000Z", "queue": "q"},
        {"id": "job_2", "status": "completed", "result": {"model": "m\n\x1b"}},
        {"id": {"x": 1}, "status": [], "created_at": 7, "result": 1, "position": "x" * 900},
        {},
    ]
    lines = [line for line, _ in table([row_of(job, 90.0) for job in jobs])]
    places = [lines[0].index(column) for column in COLUMNS]
    assert [lines[1][place:].split("  ")[0] for place in places] == ["queued", "job_1", "90 s", "q", "4"]
    assert [lines[2][place:].split("  ")[0] for place in places] == ["completed", "job_2", "-", r"m\n\x1b", "-"]
    assert all(line.isprintable() and len(line) < 250 for line in lines)


@pytest.mark.parametrize("found", [None, [], {}, {"status": "queued"}, {"status": []}, {"status": "done"}])
def test_what_is_not_final_is_no_end(found: Any) -> None:
    assert end_of_job(found) is end_of_response(found) is None
