"""Several servers behind one proxy: their models in one list, and each request at the server that it is for."""

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from lambda_router import servers, store
from lambda_router.login import code_login
from lambda_router.servers import ServerList
from tests.client.played_router import in_background, playing
from tests.client.proxy.proxied import Proxied, answers_all, log_in, proxy_for, starting
from tests.model_servers import Call, event, model_server
from tests.patience import eventually

CHAT = "/v1/chat/completions"
DIGITS = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    with proxy_for(tmp_path_factory.mktemp("proxy") / "home", ("alpha", "beta")) as proxied:
        yield proxied


@pytest.fixture
def proxied(shared: Proxied) -> Proxied:
    for upstream in shared.upstreams.values():
        upstream.script = answers_all
        upstream.seen.clear()
    return shared


def arrived(proxied: Proxied) -> dict[str, list[tuple[str, bytes]]]:
    return {name: [(call.path, call.body) for call in each.seen] for name, each in proxied.upstreams.items()}


def answers_with(document: Any, status: int = 200) -> Any:
    return lambda call: call.answer(status, document)


def test_the_models_of_all_stand_in_one_list(proxied: Proxied) -> None:
    with proxied.tool() as tool:
        found = tool.get("/v1/models").json()
    assert [model["id"] for model in found["data"]] == ["alpha/tiny", "beta/tiny"]
    assert found["object"] == "list"
    assert found["data"][0]["object"] == "model"


@pytest.mark.parametrize(
    "bad",
    [
        answers_with({"error": {}}, 500),
        answers_with(b"no JSON"),
        answers_with([]),
        answers_with(b"[" * 100_000),
        answers_with(b'{"data": [' + b" " * 1_100_000 + b"]}"),
        Call.drop,
    ],
    ids=["error", "no JSON", "no object", "deep", "huge", "gone"],
)
def test_a_server_without_a_list_is_left_out_and_told(proxied: Proxied, bad: Any) -> None:
    proxied.upstreams["beta"].script = bad
    told = "".join(proxied.said).count("without beta")
    with proxied.tool() as tool:
        assert [model["id"] for model in tool.get("/v1/models").json()["data"]] == ["alpha/tiny"]
    assert eventually(lambda: "".join(proxied.said).count("without beta") > told)


def test_odd_models_are_left_out(proxied: Proxied) -> None:
    odd = [None, 5, {"id": 5}, {"id": "a\nb"}, {"id": ""}, {}, {"id": "ok"}]
    proxied.upstreams["beta"].script = answers_with({"data": odd})
    proxied.upstreams["alpha"].script = answers_with({"data": "none"})
    with proxied.tool() as tool:
        assert tool.get("/v1/models").json()["data"] == [{"id": "beta/ok"}]


def test_no_list_at_all_is_502(proxied: Proxied) -> None:
    for upstream in proxied.upstreams.values():
        upstream.script = Call.drop
    with proxied.tool() as tool:
        response = tool.get("/v1/models")
    assert (response.status_code, response.json()["error"]["code"]) == (502, "server_unreachable")


@pytest.mark.parametrize("path", ["/v1/models/beta/tiny", "/v1/models/beta%2Ftiny"])
def test_one_model_is_shown_under_its_long_name(proxied: Proxied, path: str) -> None:
    proxied.upstreams["beta"].script = answers_with({"id": "tiny", "object": "model"})
    with proxied.tool() as tool:
        assert tool.get(path).json() == {"id": "beta/tiny", "object": "model"}
    assert arrived(proxied) == {"alpha": [], "beta": [("/v1/models/tiny", b"")]}


@pytest.mark.parametrize(
    ("sent", "name", "body"),
    [
        (b'{"model":"beta/tiny","n": 1.50}', "beta", b'{"model":"tiny","n": 1.50}'),
        (b'{"n":1, "model" : "beta/org/tiny" }', "beta", b'{"n":1, "model" : "org/tiny" }'),
        (b'{"a":{"model":"beta/x"},"model":"alpha/y"}', "alpha", b'{"a":{"model":"beta/x"},"model":"y"}'),
        (b'{"\\u006dodel":"beta/\\u00e9"}', "beta", b'{"\\u006dodel":"\\u00e9"}'),
        (b'{"model":"tiny"}', "alpha", b'{"model":"tiny"}'),
        (b'{"model":"org/tiny"}', "alpha", b'{"model":"org/tiny"}'),
        (b'{"model":"beta/"}', "alpha", b'{"model":"beta/"}'),
        (b'{"model":"beta/a","model":"alpha/b"}', "beta", b'{"model":"a","model":"alpha/b"}'),
        (b'{"model":7}', "alpha", b'{"model":7}'),
        (b'["model","beta/x"]', "alpha", b'["model","beta/x"]'),
        (b"no JSON", "alpha", b"no JSON"),
        (b"", "alpha", b""),
    ],
)
def test_the_model_chooses_the_server_and_nothing_else_changes(
    proxied: Proxied, sent: bytes, name: str, body: bytes
) -> None:
    with proxied.tool() as tool:
        assert tool.post(CHAT, content=sent).status_code == 200
    assert arrived(proxied) == {"alpha": [], "beta": []} | {name: [(CHAT, body)]}
    (call,) = proxied.upstreams[name].seen
    assert call.headers["authorization"] == f"Bearer token-of-{name}"


def test_a_body_without_its_model_is_read_to_a_bound_only(proxied: Proxied) -> None:
    long = b'{"input":"' + b"a" * (11 * 1_048_576) + b'","model":"beta/x"}'
    with proxied.tool() as tool:
        response = tool.post(CHAT, content=long)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")
    assert arrived(proxied) == {"alpha": [], "beta": []}


@pytest.mark.parametrize(
    "answer",
    [
        {"id": f"resp_{DIGITS}", "object": "response"},
        {"error": {"message": f"not ready: GET /v1/responses/resp_{DIGITS}"}},
        {"id": f"chatcmpl-{DIGITS}"},
    ],
    ids=["response", "held too long", "completion"],
)
def test_an_id_remembers_its_server(proxied: Proxied, answer: dict[str, Any]) -> None:
    digits = sha256(str(answer).encode()).hexdigest()[:32]
    proxied.upstreams["beta"].script = answers_with(json.dumps(answer).replace(DIGITS, digits).encode())
    with proxied.tool() as tool:
        tool.post("/v1/responses", json={"model": "beta/tiny"})
        tool.get(f"/v1/responses/resp_{digits}")
        tool.post(f"/v1/jobs/job_{digits}/cancel")
        tool.delete(f"/v1/responses/resp_{digits}")
    assert not proxied.upstreams["alpha"].seen
    assert len(proxied.upstreams["beta"].seen) == 4


def test_an_id_in_a_stream_remembers_its_server(proxied: Proxied) -> None:
    digits = "f" * 32

    def speak(call: Call) -> None:
        if call.method == "GET":
            call.answer(200, {})
            return
        call.begin_stream()
        for piece in (b'data: {"response": {"id": "resp_', b"f" * 16, b"f" * 16, b'"}}\n\n'):
            call.piece(piece)
        call.end_stream()

    proxied.upstreams["beta"].script = speak
    with proxied.tool() as tool:
        tool.post("/v1/responses", json={"model": "beta/tiny", "stream": True})
        tool.get(f"/v1/responses/resp_{digits}")
    assert [call.path for call in proxied.upstreams["beta"].seen] == ["/v1/responses", f"/v1/responses/resp_{digits}"]
    assert not proxied.upstreams["alpha"].seen


def test_an_unknown_id_is_looked_for_once(proxied: Proxied) -> None:
    path = f"/v1/jobs/job_{'a1' * 16}"
    proxied.upstreams["alpha"].script = answers_with({}, 404)
    with proxied.tool() as tool:
        assert tool.post(f"{path}/cancel").status_code == 200
        assert tool.get(path).status_code == 200
    assert [call.path for call in proxied.upstreams["alpha"].seen] == [path]
    assert [call.path for call in proxied.upstreams["beta"].seen] == [path, f"{path}/cancel", path]


@pytest.mark.parametrize(("script", "status"), [(answers_with({}, 404), 404), (Call.drop, 502)], ids=["404", "away"])
def test_an_id_that_no_server_has_is_named(proxied: Proxied, script: Any, status: int) -> None:
    proxied.upstreams["alpha"].script = answers_with({}, 404)
    proxied.upstreams["beta"].script = script
    with proxied.tool() as tool:
        response = tool.get(f"/v1/responses/resp_{'b2' * 16}")
    assert response.status_code == status
    assert f"resp_{'b2' * 16}" in response.json()["error"]["message"]


def test_a_server_alone_stands_below_its_name(proxied: Proxied) -> None:
    with proxied.tool() as tool:
        assert [model["id"] for model in tool.get("/beta/v1/models").json()["data"]] == ["tiny"]
        tool.post(f"/beta{CHAT}", json={"model": "alpha/tiny"})
        assert tool.get("/gamma/v1/models").status_code == 404
    assert arrived(proxied)["beta"] == [("/v1/models", b""), (CHAT, b'{"model":"alpha/tiny"}')]
    assert not proxied.upstreams["alpha"].seen


def test_with_one_server_models_keep_their_names_and_a_login_changes_that_at_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with proxy_for(home) as proxied, model_server(answers_all) as beta, proxied.tool() as tool:
        assert [model["id"] for model in tool.get("/v1/models").json()["data"]] == ["tiny"]
        urls = {"alpha": proxied.upstreams["alpha"].base_url, "beta": beta.base_url}
        log_in(home, {name: url.removesuffix("/v1") for name, url in urls.items()})
        assert [model["id"] for model in tool.get("/v1/models").json()["data"]] == ["alpha/tiny", "beta/tiny"]
        # What was configured before goes on.
        tool.post(CHAT, json={"model": "tiny"})
        assert proxied.upstreams["alpha"].seen[-1].body == b'{"model":"tiny"}'


def test_server_narrows_the_proxy_to_one(tmp_path: Path) -> None:
    with proxy_for(tmp_path / "home", ("alpha", "beta"), answers_all, "--server", "beta") as proxied:
        with proxied.tool() as tool:
            assert [model["id"] for model in tool.get("/v1/models").json()["data"]] == ["tiny"]
            assert tool.get("/alpha/v1/models").status_code == 404
        assert not proxied.upstreams["alpha"].seen


def test_a_stream_outlives_its_token_and_the_next_request_has_a_new_one(home: Path, tmp_path: Path) -> None:
    """The issuer's tokens last two seconds; the stream begins with one and ends after it."""
    go_on: Queue[None] = Queue()

    def speak(call: Call) -> None:
        if call.method == "GET":
            call.answer(200, {"object": "list", "data": []})
            return
        call.begin_stream()
        call.piece(event({"n": 1}))
        go_on.get(timeout=20)
        call.piece(event({"n": 2}))
        call.end_stream()

    with playing(token_seconds=2) as issuer, model_server(speak) as server:
        code_login.in_browser(code_login.begin(issuer.url), [].append, in_background)
        logged_in = servers.find()
        moved = replace(logged_in, url=server.base_url.removesuffix("/v1"))
        servers.save(ServerList((moved,), logged_in.name))
        issued = store.load(logged_in.name)
        assert issued is not None
        first = replace(issued, server=moved.url)
        store.save(logged_in.name, first)
        with starting(home, "--port", "0") as proxied, proxied.tool() as tool:
            with tool.stream("POST", CHAT, json={}) as response:
                pieces = response.iter_raw()
                assert next(pieces) == event({"n": 1})
                used = {call.headers["authorization"] for call in server.seen}

                def renewed() -> bool:
                    assert tool.get("/v1/models").status_code == 200
                    return server.seen[-1].headers["authorization"] not in used

                assert eventually(renewed, 20)
                go_on.put(None)
                assert b"".join(pieces) == event({"n": 2})
            tokens = [call.headers["authorization"].removeprefix("Bearer ") for call in server.seen]
            assert not [token for token in tokens if token in "".join(proxied.said)]
        assert store.load(logged_in.name) != first


def test_a_login_that_is_over_says_so_to_the_tool(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with proxy_for(home) as proxied, proxied.tool() as tool:
        (home / "alpha.tokens").unlink()
        response = tool.get("/v1/models")
        assert (response.status_code, response.json()["error"]["code"]) == (401, "not_logged_in")
        assert response.headers["x-should-retry"] == "false"
        assert "lambda-router login" in response.json()["error"]["message"]
