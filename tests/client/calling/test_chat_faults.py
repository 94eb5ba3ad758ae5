"""``lambda-router chat`` as a process, against a server that breaks off, lies, refuses or is gone."""

import json
from pathlib import Path
from typing import Any

import pytest

from lambda_router import servers, tokens
from lambda_router.calling.api import Api
from lambda_router.calling.steps import Ended, Words
from lambda_router.calling.streamed import StreamedAnswer
from tests.client.calling.calls import RunHere, chat
from tests.client.calling.lying_router import (
    CANCEL,
    CREATE,
    EVENTS,
    JOB,
    NOT_STREAMED,
    STREAM,
    Act,
    LyingRouter,
    answer,
    began,
    body_of,
    delta,
    drops,
    ended,
    error,
    events,
    final_job,
    holds,
    response,
    says,
    streams,
)
from tests.e2e.kit.kit_commands import make_home

WORDS = ("Grü", "ße 👋", "\u2028end")
WHOLE = "".join(WORDS)


def test_bytes_may_come_in_any_pieces(lying: LyingRouter, kit: Path) -> None:
    raw = sum(len(f"data: {json.dumps(each)}\n\n") for each in answer(*WORDS))
    lying.on(STREAM, streams(*answer(*WORDS), splits=range(1, raw)))
    ran = chat(kit)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{WHOLE}\n", "")


def test_a_stream_that_breaks_off_is_read_on_and_no_word_comes_twice(lying: LyingRouter, kit: Path) -> None:
    whole = answer(*WORDS)
    lying.on(STREAM, streams(*whole[:4], broken=True), streams(*whole[4:]))
    ran = chat(kit)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{WHOLE}\n", "")
    assert [call.path.partition("?")[2] for call in lying.asked(STREAM)] == [
        "stream=true",
        "stream=true&starting_after=3",
    ]


def test_a_gap_in_the_numbers_is_read_again(lying: LyingRouter, chat_here: RunHere) -> None:
    whole = answer(*WORDS)
    lying.on(STREAM, streams(*whole[:4], *whole[5:]), streams(*whole[4:]))
    assert chat_here()[1] == f"{WHOLE}\n"


def test_a_stream_that_cannot_be_read_on_is_read_from_its_beginning(lying: LyingRouter, chat_here: RunHere) -> None:
    whole = answer(*WORDS)
    refusal = {"error": {"message": "No.", "param": "starting_after", "code": "invalid_value"}}
    lying.on(STREAM, streams(*whole[:4], broken=True), says(refusal, 400), streams(*answer(WHOLE)))
    ran = chat_here()
    assert ran[:2] == (0, f"{WHOLE}\n")


def test_a_stream_that_says_nothing_for_too_long_has_broken_off(lying: LyingRouter, kit: Path) -> None:
    """In a test that is 0.3 s; a server says something every 15 s."""
    lying.on(STREAM, holds, streams(*answer("A", "B")[4:]))
    server = servers.find()
    api = Api(server, silence_seconds=0.3)
    steps = list(StreamedAnswer(api, JOB).read())
    assert [step.text for step in steps if isinstance(step, Words | Ended)] == ["A", "B", "AB"]


def test_a_second_break_without_progress_ends_it_and_names_the_job(lying: LyingRouter, kit: Path) -> None:
    lying.on(STREAM, streams(*answer(*WORDS)[:4], broken=True), drops)
    ran = chat(kit)
    assert (ran.returncode, ran.stdout) == (5, WORDS[0])
    assert f"lambda-router show {JOB}" in ran.stderr
    assert not lying.asked(CANCEL)


def test_a_stream_whose_time_is_over_is_opened_again_as_often_as_it_takes(
    lying: LyingRouter, chat_here: RunHere
) -> None:
    whole = answer(*WORDS)
    over = [streams(*whole[:3], error(3, "still_running")), *[streams(error(3, "still_running"))] * 2]
    lying.on(STREAM, *over, streams(*whole[3:]))
    ran = chat_here()
    assert ran[:2] == (0, f"{WHOLE}\n")


def test_a_lost_answer_to_the_request_is_asked_for_with_the_same_key(lying: LyingRouter, chat_here: RunHere) -> None:
    lying.on(CREATE, drops, says(response("queued")))
    ran = chat_here("-s", "Be brief.")
    first, second = lying.asked(CREATE)
    assert ran[:2] == (0, "HELLO\n")
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert body_of(first) == body_of(second)
    assert (body_of(first)["input"], body_of(first)["instructions"]) == ("hello", "Be brief.")


@pytest.mark.parametrize(
    "refusal",
    [
        says(NOT_STREAMED, 400),
        says({"error": {"message": "No place.", "code": "too_many_held"}}, 429, Retry_After="1"),
    ],
    ids=["a server without streams", "no place for a stream"],
)
def test_where_nothing_streams_the_words_come_from_the_jobs_events(
    lying: LyingRouter, chat_here: RunHere, refusal: Act
) -> None:
    lying.on(STREAM, refusal)
    lying.on(
        EVENTS,
        says(events(), Retry_After="1"),
        says(events({"id": "1-1", "type": "delta", "delta": {"text": WORDS[0]}})),
        says(events({"id": "1-2", "type": "delta", "delta": {"reasoning": "no part of the answer"}})),
        says(events({"id": "1-3", "type": "delta", "delta": {"text": WORDS[1]}})),
        says(events(final_job("completed", WHOLE), has_more=False)),
    )
    ran = chat_here()
    assert ran == (0, f"{WHOLE}\n", "")
    afters = [call.path.partition("?after=")[2] for call in lying.asked(EVENTS)]
    assert afters == ["", "", "1-1", "1-2", "1-3"]
    first, second = lying.asked(EVENTS)[:2]
    assert second.arrived_at - first.arrived_at >= 0.9  # Retry-After


def test_another_attempt_with_the_same_words_goes_on_as_if_nothing_had_been(
    lying: LyingRouter, chat_here: RunHere
) -> None:
    again = answer(WORDS[0], *WORDS[1:])
    lying.on(STREAM, streams(*answer(*WORDS)[:4], error(4, "restarted")), streams(*again))
    ran = chat_here()
    assert ran == (0, f"{WHOLE}\n", "")


LIES: dict[str, tuple[str, Any]] = {
    "other words of a new attempt": (STREAM, [streams(*answer("A")[:4], error(4, "restarted")), streams(*answer("C"))]),
    "an end with other words": (STREAM, [streams(*answer("A")[:4], ended(4, "completed", "B"))]),
    "an end without an answer": (STREAM, [streams(*began(), {"type": "response.completed", "sequence_number": 3})]),
    "the end of another response": (STREAM, [streams(*began(), ended(3, "completed", "A", id="resp_other"))]),
    "events that are no objects": (STREAM, [streams([1, 2])]),
    "events that are no JSON": (STREAM, [streams("{")]),
    "a delta that is no text": (STREAM, [streams(*began(), delta(3, 7))]),  # type: ignore[arg-type]
    "a page instead of a stream": (STREAM, [says(b"<html>", Content_Type="text/html")]),
    "a redirect": (STREAM, [says(b"", 302, Location="http://127.0.0.1:1/")]),
    "a list instead of a response": (CREATE, [says([1])]),
    "a response without an id": (CREATE, [says({"status": "queued"})]),
    "an id that leads elsewhere": (CREATE, [says({"id": "resp_../../v1/jobs"})]),
    "a deeply nested answer": (CREATE, [says(b"[" * 100_000)]),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_no_answer(lying: LyingRouter, chat_here: RunHere, lie: str) -> None:
    route, acts = LIES[lie]
    lying.on(route, *acts)
    status, _, said = chat_here()
    assert status == 1
    assert "lambda-router: " in said
    assert (f"lambda-router show {JOB}" in said) == (route == STREAM)


@pytest.mark.parametrize(("status", "ends_with"), [(401, 4), (403, 4), (400, 1), (404, 1), (429, 5), (503, 5)], ids=str)
def test_a_refusal_shows_title_detail_and_request_and_nothing_that_a_terminal_obeys(
    lying: LyingRouter, chat_here: RunHere, status: int, ends_with: int
) -> None:
    problem = {"title": "Not\x1b[2J now", "detail": "Come\n\u202eback.", "status": status}
    lying.on(CREATE, says(problem, status, Retry_After="7", X_Request_Id="r-17"))
    ran = chat_here()
    assert ran[:2] == (ends_with, "")
    (line,) = ran[2].splitlines()
    assert r"Not\x1b[2J now: Come\n\u202eback." in line
    assert "r-17" in line
    assert ("7 s" in line) == (status in {429, 503})
    assert len(lying.asked(CREATE)) == 1


def test_a_token_that_no_header_can_hold_is_not_quoted(lying: LyingRouter, kit: Path, run_here: RunHere) -> None:
    for token in ("secret\nsecret", "secret\u2028", "sécret"):
        make_home(kit, lying.url, token)
        status, out, said = run_here("jobs")
        tokens.forget(servers.find())
        assert (status != 0, out) == (True, "")
        assert "cret" not in said


def test_a_server_that_is_gone_is_named_and_the_status_is_5(kit: Path, lying: LyingRouter) -> None:
    assert lying.server is not None
    lying.server.shutdown()
    lying.server.server_close()
    ran = chat(kit)
    assert ran.returncode == 5
    assert lying.url in ran.stderr
