"""Readers of a response who are cut off, come late, are slow, or are many: OpenAI's client, and curl."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import openai
import pytest

from tests.e2e.calling_model import MODEL, text_of
from tests.e2e.live import Live, create, deltas, retrieve, whole
from tests.patience import eventually

PROMPT = "think one two three four"


def plain(events: Any) -> list[dict[str, Any]]:
    return [event.to_dict() for event in events]


def test_a_stream_goes_on_after_any_event_of_a_final_response(live: Live) -> None:
    with live.client("nan") as caller:
        events = list(create(caller, PROMPT, background=True))
        response_id = events[0].response.id
        assert whole(events) == text_of(PROMPT)
        for number in range(len(events) - 1):
            rest = retrieve(caller, response_id, starting_after=number)
            assert plain(rest) == plain(events[number + 1 :]), number
        with pytest.raises(openai.BadRequestError):
            retrieve(caller, response_id, starting_after=len(events))


def test_a_reader_who_is_cut_off_after_every_event_misses_nothing(live: Live) -> None:
    prompt = "held a b c d e f"
    with live.client("ole") as caller:
        with closing(create(caller, prompt, background=True)) as stream:
            read = [next(stream)]
        while read[-1].type != "response.completed":
            live.model.let_go(prompt, 1)
            number = read[-1].sequence_number
            with closing(retrieve(caller, read[0].response.id, starting_after=number)) as stream:
                read.append(next(stream))
        assert whole(read) == text_of(prompt)
        assert plain(retrieve(caller, read[0].response.id)) == plain(read)


def test_the_helper_goes_on_with_a_response_that_another_began(live: Live) -> None:
    prompt = "held for the helper"
    with live.client("pat") as caller:
        response_id = live.started(caller, prompt, 2)
        with caller.responses.stream(response_id=response_id, starting_after=3) as stream:
            first = next(iter(stream))
            live.model.let_go(prompt)
            rest = [first, *stream]
            assert stream.get_final_response().output_text == text_of(prompt)
    assert [event.sequence_number for event in rest] == list(range(4, 4 + len(rest)))


def test_two_readers_and_a_late_one_read_the_same(live: Live) -> None:
    prompt = "held for a crowd"
    with live.client("quy") as caller, ThreadPoolExecutor(2) as threads:
        response_id = live.started(caller, prompt)
        readers = [threads.submit(lambda: plain(retrieve(caller, response_id))) for _ in range(2)]
        live.model.let_go(prompt)
        first, second = (reader.result() for reader in readers)
        assert first == second == plain(retrieve(caller, response_id))


def test_a_slow_reader_reads_all_of_it(live: Live) -> None:
    """Its stream holds nobody up: the job is completed long before it reads the second event."""
    prompt = "slow " + " ".join(f"{number:0100}" for number in range(4_000))
    with live.client("roy") as caller:
        stream = create(caller, prompt, background=True)
        events = [next(stream)]
        assert live.final(caller, events[0].response.id).status == "completed"
        assert whole([*events, *stream]) == text_of(prompt)


def curl_lines(live: Live, user: str, path: str, *options: str) -> "Iterator[str]":
    """Lines as curl prints them, at once."""
    command = ["curl", "-sSN", "--fail-with-body", "-H", f"Authorization: Bearer {live.stack.token(user)}", *options]
    with subprocess.Popen([*command, live.stack.url + path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield line.rstrip("\n")
    assert process.returncode == 0


def test_curl_prints_words_while_the_response_is_in_progress(live: Live) -> None:
    prompt = "held for curl"
    body = json.dumps({"model": MODEL, "input": prompt, "stream": True})
    lines = curl_lines(live, "sue", "/v1/responses", "-H", "Content-Type: application/json", "-d", body)
    read = [next(lines), next(lines)]
    response_id = json.loads(read[1].removeprefix("data: "))["response"]["id"]
    with live.client("sue") as caller:
        live.model.let_go(prompt, 1)
        while "HELD" not in read[-1]:
            read.append(next(lines))
        assert caller.responses.retrieve(response_id).status == "in_progress"
        live.model.let_go(prompt)
        read += lines
    assert read[-2:] == ["data: [DONE]", ""]
    assert all(line.startswith(("event: ", "data: ", ":")) or not line for line in read)
    documents = [json.loads(line.removeprefix("data: ")) for line in read if line.startswith("data: {")]
    names = [line.removeprefix("event: ") for line in read if line.startswith("event: ")]
    assert names == [document["type"] for document in documents]


def test_an_error_ends_a_stream_without_done(live: Live) -> None:
    for path, body in (
        ("/v1/responses", {"input": "busy for curl"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "busy for curl, in a chat"}]}),
    ):
        sent = json.dumps({"model": MODEL, "stream": True} | body)
        lines = list(curl_lines(live, "tom", path, "-H", "Content-Type: application/json", "-d", sent))
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        assert "[DONE]" not in data
        assert json.loads(data[-1])["error"]["code"] == "restarted"


def test_deltas_grow_with_the_models_words_even_if_it_stops_for_long(live: Live) -> None:
    """A word that waits to be sent with others goes out by itself when no other comes."""
    prompt = "held between words"
    with live.client("una") as caller:
        come = create(caller, prompt)
        text = ""
        pieces = deltas(come)
        for word in text_of(prompt).split():
            live.model.let_go(prompt, 1)
            text += next(pieces)
            assert text.split()[-1] == word
        assert "".join(pieces) == ""
    assert eventually(lambda: live.model.attempts(prompt)) == 1
