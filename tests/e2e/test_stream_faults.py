"""Streams whose worker, Redis or app dies: no reader takes half an answer for a whole one, and none is lost."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.e2e.calling_model import MODEL, text_of
from tests.e2e.live import FINAL_STATUSES, all_events, create, deltas, events_of, read_words, retrieve, text, whole
from tests.e2e.site import Site, job_of, running_site
from tests.kms import forms_of, key_service
from tests.patience import eventually

LEASE = ("--lease-seconds", "3", "--concurrency", "4")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running_site(tmp_path) as site:
        yield site


def final(caller: OpenAI, response_id: str) -> Any:
    """The response once it is final. Redis may be away for a moment."""

    def look() -> Any:
        try:
            response = caller.responses.retrieve(response_id)
        except openai.InternalServerError:
            return None
        return response if response.status in FINAL_STATUSES else None

    return eventually(look, 30)


@pytest.mark.parametrize(
    "is_frozen", [False, pytest.param(True, marks=pytest.mark.rehearsal)], ids=["killed", "frozen"]
)
def test_readers_learn_that_another_worker_begins_again(site: Site, is_frozen: bool) -> None:
    prompt = "held by two workers"
    first = site.parts.start_worker(*LEASE)
    caller, curl = site.client("ann"), site.caller("ann")
    stream = create(caller, prompt)
    response_id = next(stream).response.id
    site.model.let_go(prompt, 2)
    assert read_words(deltas(stream), 2) == "HELD BY"
    old = events_of(curl, job_of(response_id))["data"]

    os.kill(first.pid, signal.SIGSTOP if is_frozen else signal.SIGKILL)
    site.parts.start_worker(*LEASE)
    with pytest.raises(openai.APIError, match=f"GET /v1/responses/{response_id}") as raised:
        list(stream)
    assert raised.value.code == "restarted"
    if is_frozen:
        os.kill(first.pid, signal.SIGCONT)
    site.model.let_go(prompt)

    assert final(caller, response_id).output_text == text_of(prompt, 2)
    assert text(old) == "HELD BY"
    new = all_events(curl, job_of(response_id))
    assert [event["type"] for event in new if event["type"] != "delta"] == ["restarted", "job"]
    assert text(new) == text_of(prompt, 2)
    went_on = events_of(curl, job_of(response_id), after=old[-1]["id"])["data"]
    assert went_on == new
    with pytest.raises(openai.APIError, match=response_id):
        list(retrieve(caller, response_id, starting_after=5))


def test_a_stream_that_redis_leaves_says_so_and_its_job_goes_on(site: Site) -> None:
    prompt = "held while valkey is away"
    site.parts.start_worker("--concurrency", "4")
    caller, curl = site.client("ben"), site.caller("ben")
    stream = create(caller, prompt)
    response_id = next(stream).response.id
    site.model.let_go(prompt, 2)
    assert read_words(deltas(stream), 2) == "HELD WHILE"

    site.server.kill()
    with pytest.raises(openai.APIError, match=f"GET /v1/responses/{response_id}"):
        list(stream)
    site.model.let_go(prompt, 2)
    site.server.restart()
    site.model.let_go(prompt)

    expected = text_of(prompt, site.model.attempts(prompt))
    assert final(caller, response_id).output_text == expected
    assert text(all_events(curl, job_of(response_id))) == expected
    assert whole(list(retrieve(caller, response_id))) == expected


def test_output_that_redis_has_lost_is_stored_again_at_its_place(site: Site, tmp_path: Path) -> None:
    """Redis writes to its disk once a second. What a crash of the machine takes from it, the worker still has."""
    prompt = "held and lost and found"
    site.parts.start_worker("--concurrency", "4")
    caller, curl = site.client("eli"), site.caller("eli")
    read = [next(stream := create(caller, prompt, background=True))]
    response_id = read[0].response.id
    site.model.let_go(prompt, 1)
    while "HELD" not in "".join(deltas(read)):
        read.append(next(stream))
    (file,) = (tmp_path / "valkey/appendonlydir").glob("*.incr.aof")
    kept = file.stat().st_size
    site.model.let_go(prompt, 2)
    while "LOST" not in "".join(deltas(read)):
        read.append(next(stream))
    before = events_of(curl, job_of(response_id))["data"]

    site.server.kill()
    os.truncate(file, kept)
    site.server.restart()
    stream.close()
    site.model.let_go(prompt)

    assert final(caller, response_id).output_text == text_of(prompt)
    events = all_events(curl, job_of(response_id))
    assert events[: len(before)] == before
    assert text(events) == text_of(prompt)
    read += retrieve(caller, response_id, starting_after=read[-1].sequence_number)
    assert whole(read) == text_of(prompt)


@pytest.mark.parametrize(
    "signum", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.rehearsal)], ids=["killed", "stopped"]
)
def test_a_stream_whose_app_dies_never_looks_whole(site: Site, signum: signal.Signals) -> None:
    prompt = "held while the app dies"
    site.parts.start_worker("--concurrency", "4")
    caller, curl = site.client("cat"), site.caller("cat")
    read, cut = [], []

    def chat() -> None:
        try:
            messages: list[Any] = [{"role": "user", "content": "held chat"}]
            cut.extend(caller.chat.completions.create(model=MODEL, messages=messages, stream=True))
        except (openai.APIError, httpx.TransportError) as error:
            cut.append(error)

    chatting = threading.Thread(target=chat)
    chatting.start()
    stream = create(caller, prompt)
    site.model.let_go(prompt, 2)
    while "HELD WHILE" not in "".join(deltas(read)):
        read.append(next(stream))
    os.kill(site.app.pid, signum)
    with pytest.raises((openai.APIError, httpx.TransportError)):
        read.extend(stream)
    chatting.join(20)
    assert isinstance(cut[-1], Exception)
    site.app.wait(20)

    site.parts.start_app()
    site.model.let_go(prompt)
    read += retrieve(caller, read[0].response.id, starting_after=read[-1].sequence_number)
    assert whole(read) == text_of(prompt)
    assert text(all_events(curl, job_of(read[0].response.id))) == text_of(prompt)


def test_nothing_of_an_encrypted_answer_lies_in_redis(tmp_path: Path) -> None:
    prompt = "uncharacteristically secret"
    with key_service() as keys, running_site(tmp_path, keys.variables, ROUTER_KMS_KEY_ID=keys.arn) as site:
        site.parts.start_worker("--kms-key-id", keys.arn)
        caller, curl = site.client("dan"), site.caller("dan")
        events = list(create(caller, prompt, background=True))
        response_id = events[0].response.id
        assert whole(events) == text_of(prompt)
        assert whole(list(retrieve(caller, response_id))) == text_of(prompt)
        assert text(all_events(curl, job_of(response_id))) == text_of(prompt)
        (log,) = site.server.db.scan_iter("*:events:*")
        stored = json.dumps(site.server.db.xrange(log)).encode()
    assert stored != b"[]"
    assert not [form for form in forms_of(text_of(prompt).split()[0]) if form.search(stored)]


@pytest.mark.rehearsal
@pytest.mark.timeout(120)
def test_a_stream_ends_with_an_error_when_its_time_is_up(tmp_path: Path) -> None:
    prompt = "held for too long"
    with running_site(tmp_path, ROUTER_STREAM_SECONDS="30") as site:
        site.parts.start_worker()
        caller = site.client("eve")
        stream = create(caller, prompt)
        response_id = next(stream).response.id
        site.model.let_go(prompt, 1)
        with pytest.raises(openai.APIError, match=f"GET /v1/responses/{response_id}"):
            list(stream)
        held = caller.responses.with_raw_response.create(model=MODEL, input="held as well")
        assert held.http_response.text.startswith("\n")
        assert held.parse().status == "queued"
        site.model.let_go(prompt)
        assert final(caller, response_id).output_text == text_of(prompt)
