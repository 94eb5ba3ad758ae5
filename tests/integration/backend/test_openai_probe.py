"""lambda_router_worker.backend.model_probe: whether a model server can do this worker's jobs, found out without one."""

import asyncio
from typing import Any

import pytest

from lambda_router_worker.backend.model_server import Patience
from lambda_router_worker.backend.openai_backend import OpenAIBackend
from lambda_router_worker.backend.server_trouble import Kind, ServerTrouble
from tests.integration.backend.openai_jobs import answering, job_of, with_backend
from tests.integration.conftest import Lines
from tests.model_servers import Call, Script, listing, model_server
from tests.servers import free_port


def routes(models: Script, completions: Script) -> Script:
    return lambda call: (models if call.path.endswith("/models") else completions)(call)


def probe(script: Script, *, thorough: bool = False, **options: Any) -> list[tuple[str, str]]:
    """What a server that does so is asked by a probe that goes well."""
    with model_server(script) as server:
        with_backend(lambda backend: backend.probe(thorough=thorough), server.base_url, **options)
        return [(call.method, call.path) for call in server.seen]


def found_by_probe(script: Script, *, thorough: bool = False, **options: Any) -> ServerTrouble:
    with pytest.raises(ServerTrouble) as raised:
        probe(script, thorough=thorough, **options)
    return raised.value


LIST, COMPLETE = ("GET", "/v1/models"), ("POST", "/v1/chat/completions")


def test_a_server_that_lists_the_model_is_well():
    assert probe(listing("another", "tinyllama")) == [LIST]


def test_an_alias_is_a_name_of_the_model():
    models = answering(200, {"data": [{"id": "/models/t.gguf", "aliases": ["tinyllama"]}]})
    assert probe(routes(models, Call.stream)) == [LIST]


def test_a_thorough_probe_has_one_token_computed():
    with model_server(listing("tinyllama")) as server:
        with_backend(lambda backend: backend.probe(thorough=True), server.base_url)
        assert [call.path for call in server.seen] == ["/v1/models", "/v1/chat/completions"]
        assert server.seen[1].json["max_tokens"] == 1
        assert server.seen[1].json["model"] == "tinyllama"


@pytest.mark.parametrize("status", [400, 404, 405, 422, 501])
def test_a_server_without_a_list_completes_one_token(status: int):
    assert probe(routes(answering(status), Call.stream)) == [LIST, COMPLETE]


UNLISTED: dict[str, Any] = {
    "other names": {"data": [{"id": "llama"}, {"id": None}, 7]},
    "none": {"data": []},
    "null": {"data": None},
    "another shape": ["tinyllama"],
}


@pytest.mark.parametrize("document", UNLISTED.values(), ids=UNLISTED.keys())
def test_a_model_that_is_not_listed_is_one_warning_and_a_completion_decides(document: Any, log_lines: Lines):
    async def twice(backend: OpenAIBackend) -> None:
        await backend.probe(thorough=False)
        await backend.probe(thorough=False)

    with model_server(routes(answering(200, document), Call.stream)) as server:
        with_backend(twice, server.base_url)
        assert [(call.method, call.path) for call in server.seen] == [LIST, COMPLETE, LIST, COMPLETE]
    [line] = log_lines()
    assert (line["level"], line["message"], line["model"]) == ("WARNING", "model not listed", "tinyllama")


@pytest.mark.parametrize("status", [408, 409, 425, 429])
def test_a_busy_server_is_there(status: int):
    probe(routes(answering(status), Call.stream))
    probe(routes(answering(404), answering(status)))


PAGES: dict[str, Script] = {
    "a page": answering(200, b"<!doctype html>", Content_Type="text/html"),
    "text": answering(200, b"Ollama is running", Content_Type="text/plain"),
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES.keys())
def test_a_page_for_people_is_trouble_that_says_what_a_url_looks_like(page: Script):
    trouble = found_by_probe(routes(page, Call.stream))
    assert trouble.kind is Kind.REFUSED_US
    assert "http://host:8080/v1" in trouble.reason


WORDS = {"error": {"message": "model 'tinyllama' not found, see http://house.internal/secret", "code": None}}

TROUBLES: dict[str, tuple[Script, Kind, str]] = {
    "key missing": (answering(401, WORDS), Kind.REFUSED_US, "status 401: model 'tinyllama' not found"),
    "forbidden": (answering(403), Kind.REFUSED_US, "status 403"),
    "broken": (answering(500), Kind.BROKEN, "status 500"),
    "loading": (answering(503, {"error": {"message": "Loading model"}}), Kind.BROKEN, "status 503: Loading model"),
    "redirect": (answering(302, Location="/login"), Kind.REFUSED_US, "status 302"),
    "wrong path": (answering(404, b"404 page not found"), Kind.REFUSED_US, "status 404: a base URL looks like"),
    "wrong model": (routes(answering(404), answering(404, WORDS)), Kind.REFUSED_US, "status 404: model 'tinyllama'"),
    "wrong model, 400": (routes(answering(404), answering(400, WORDS)), Kind.REFUSED_US, "status 400: model 'tiny"),
    "wrong model, 422": (routes(answering(404), answering(422, WORDS)), Kind.REFUSED_US, "422: model 'tinyllama'"),
    "model broken": (routes(answering(404), answering(500)), Kind.BROKEN, "status 500"),
    "lies": (routes(answering(404), answering(200, {})), Kind.REFUSED_US, "not a chat completion"),
}


@pytest.mark.parametrize(("script", "kind", "reason"), TROUBLES.values(), ids=TROUBLES.keys())
def test_trouble_has_a_reason_of_one_line_with_the_servers_words(script: Script, kind: Kind, reason: str):
    trouble = found_by_probe(script)
    assert trouble.kind is kind
    assert reason in trouble.reason
    assert "\n" not in trouble.reason
    assert "secret" not in trouble.reason
    assert "127.0.0.1" not in trouble.reason


def test_a_list_says_nothing_about_a_model_that_cannot_compute():
    """A model server's front answers when its engine is dead."""
    script = routes(listing("tinyllama"), answering(500))
    assert probe(script) == [LIST]
    assert found_by_probe(script, thorough=True).reason == "status 500"


def test_a_closed_port_is_trouble():
    with pytest.raises(ServerTrouble) as raised:
        with_backend(lambda backend: backend.probe(thorough=False), f"http://127.0.0.1:{free_port()}/v1")
    assert (raised.value.kind, raised.value.reason) == (Kind.UNREACHABLE, "connection refused")


def test_silence_is_trouble():
    trouble = found_by_probe(lambda call: call.wait_for_hangup(), patience=Patience(0.3, 0.3))
    assert (trouble.kind, trouble.reason) == (Kind.BROKEN, "no response for 0.3 s")


def test_the_key_is_sent_and_never_quoted():
    words = {"error": {"message": "Incorrect API key: sk-of-a-test"}}
    with model_server(answering(401, words)) as server, pytest.raises(ServerTrouble) as raised:
        with_backend(lambda backend: backend.probe(thorough=False), server.base_url, api_key="sk-of-a-test")
    assert server.seen[0].headers["authorization"] == "Bearer sk-of-a-test"
    assert "sk-of" not in raised.value.reason


def test_a_probe_learns_what_jobs_need_not_try():
    def script(call: Call) -> None:
        if call.method == "GET":
            call.answer(404)
        elif "stream_options" in call.json:
            call.answer(400)
        else:
            call.stream()

    async def both(backend: OpenAIBackend) -> None:
        await backend.probe(thorough=False)
        await backend(job_of(prompt="x"))

    with model_server(script) as server:
        with_backend(both, server.base_url)
        assert ["stream_options" in call.json for call in server.completions] == [True, False, False]


def test_a_server_that_loads_its_model_on_demand_and_stops_when_we_hang_up_is_waited_for():
    """Ollama and llama-swap load a model for the first request, and some give it up with the request."""
    loads = True

    def load(call: Call) -> None:
        if not loads:
            call.wait_for_hangup()
        elif not call.wait_for_hangup(0.6):
            call.stream()

    async def wait(backend: OpenAIBackend) -> list[str]:
        nonlocal loads
        found = []
        for _ in range(4):
            try:
                await backend.probe(thorough=True)
            except ServerTrouble as trouble:
                found.append(trouble.reason)
            else:
                loads = False  # from now on it is silent
                found.append("well")
        return found

    patience = Patience(first=5, next=5, probe=0.2)
    with model_server(routes(listing("tinyllama"), load)) as server:
        found = with_backend(wait, server.base_url, patience=patience)
    assert found == ["no response for 0.2 s", "no response for 0.4 s", "well", "no response for 0.2 s"]


def test_a_cancelled_probe_hangs_up():
    async def cancelled(backend: OpenAIBackend) -> None:
        task = asyncio.create_task(backend.probe(thorough=False))
        while not server.seen:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task], timeout=2)
        assert task.cancelled()

    with model_server(lambda call: call.wait_for_hangup()) as server:
        with_backend(cancelled, server.base_url)
