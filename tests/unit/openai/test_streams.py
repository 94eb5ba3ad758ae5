"""chalicelib.api.openai.streams: bodies that are sent piece by piece."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.api.openai.streams import DONE, KEEPALIVE, Body, Followed, late_json, server_sent
from chalicelib.errors import JobNotCompleted
from chalicelib.jobs.job_records import Record
from chalicelib.jobs.live_output import Emitted
from chalicelib.jobs.waits import Hold
from chalicelib.openai.completion_stream import CompletionStream
from tests.unit.openai.examples import answered, job


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Passing(NamedTuple):
    """An entry that comes after so many seconds, in which nobody is told that nothing comes."""

    seconds: int
    entry: Emitted


class Live:
    """Live output: pauses in seconds, and what comes after them."""

    def __init__(self, clock: Clock, steps: list[Any]) -> None:
        self.live = self
        self._clock = clock
        self._steps = steps

    def follow(self, *_: Any) -> Iterator[Any]:
        for step in self._steps:
            if isinstance(step, int):
                for _second in range(step):
                    self._clock.now += 1
                    yield None
            elif isinstance(step, Passing):
                self._clock.now += step.seconds
                yield step.entry
            else:
                yield step


def kinds(*steps: Any) -> str:
    """What is sent: ``e`` for an event, ``k`` for a comment, ``.`` for the end, and ``_`` for nothing."""
    clock = Clock()
    followed = Followed(cast(Any, Live(clock, [*steps])), "owner", job("queued"), ends=1_000, clock=clock)
    letters = {KEEPALIVE: "k", DONE: ".", b"": "_"}
    return "".join(letters.get(piece, "e") for piece in followed.events(CompletionStream(job("queued"), "m")))


def test_silence_is_filled_with_comments() -> None:
    delta, end = Emitted("1-1", {"text": "Rain."}), Record(job(result=answered()), None)
    assert kinds(14, delta, 14, end).replace("_", "") == "eee."
    assert kinds(47, delta, 20, end).replace("_", "") == "ekkkeke."


def test_in_silence_the_sender_can_look_every_second_if_the_caller_is_still_there() -> None:
    end = Record(job(result=answered()), None)
    assert kinds(14, end) == "e" + "_" * 14 + "ee."
    assert kinds(16, end) == "e" + "_" * 14 + "k_ee."


def test_output_that_is_no_event_does_not_keep_the_caller_waiting_in_silence() -> None:
    own = [Passing(1, Emitted(f"1-{number}", {"progress": number})) for number in range(1, 41)]
    assert kinds(*own, Record(job(result=answered()), None)) == "e" + 2 * ("_" * 14 + "k") + "_" * 10 + "ee."


def test_a_text_that_looks_like_a_comment_is_sent_as_an_event() -> None:
    assert kinds(Emitted("1-1", {"text": ": keepalive"}), Record(job(result=answered(": keepalive")), None)) == "eee."


@given(st.text(st.characters(), max_size=20))
def test_an_event_is_one_line_of_ascii_whatever_is_in_it(text: str) -> None:
    sent = server_sent({"type": "x", "delta": text})
    assert sent.isascii()
    assert sent.endswith(b"\n\n")
    assert len(sent.decode().splitlines()) == 3


def test_closing_a_body_that_nobody_read_frees_what_it_holds() -> None:
    freed: list[str] = []
    with ExitStack() as opened:
        opened.callback(freed.append, "place")
        body = Body(iter([b"a"]), opened.pop_all())
    assert freed == []
    body.close()
    body.close()
    assert (freed, [*body]) == (["place"], [])


class Waited:
    """A job that becomes final after so many waits."""

    def __init__(self, clock: Clock, waits: int, end: Any) -> None:
        self._clock = clock
        self._left = waits
        self._end = end
        self.until: list[float] = []

    def __call__(self, waiting: Any, hold: Hold) -> Any:
        self.until.append(hold.ends)
        self._clock.now = hold.ends
        self._left -= 1
        return waiting if self._left else self._end


def shown(of: Any) -> str:
    return f'"{of.status}"'


@pytest.mark.parametrize(
    ("waits", "pieces", "until"),
    [
        (1, [b"\n", b'"completed"'], [15]),
        (3, [b"\n"] * 3 + [b'"completed"'], [15, 30, 40]),
        (9, [b"\n"] * 3 + [b'"queued"'], [15, 30, 40]),
    ],
    ids=["soon", "late", "too late"],
)
def test_a_late_document_comes_behind_white_space(waits: int, pieces: list[bytes], until: list[float]) -> None:
    clock = Clock()
    taken = Waited(clock, waits, job(result=answered()))
    assert [*late_json(job("queued"), Hold(40.0), taken, shown, clock)] == pieces
    assert taken.until == until


def test_a_late_document_that_does_not_exist_breaks_the_body_off() -> None:
    def no_document(of: Any) -> str:
        raise JobNotCompleted("It failed.")

    clock = Clock()
    pieces = late_json(job("queued"), Hold(40.0), Waited(clock, 1, job("failed")), no_document, clock)
    assert next(pieces) == b"\n"
    with pytest.raises(JobNotCompleted):
        next(pieces)
