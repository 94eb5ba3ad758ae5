"""``tools/verify_live.py``: what answers on the URL, and for how long it may answer otherwise."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from tools.verify_live import Site, health, refusal

HEALTH = {"status": "ok", "version": "1.2.3+gabc", "function_version": "7"}


@dataclass
class Api:
    """Answers each request with the next of these, the last one for ever: status, content type, body."""

    answers: list[tuple[int, str, str]] = field(default_factory=list)
    url: str = ""

    def next(self) -> tuple[int, str, str]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, kind, body = api.next()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = respond  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        api.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield api
        server.shutdown()


def healthy(**members: str) -> tuple[int, str, str]:
    return 200, "application/json", json.dumps(HEALTH | members)


def looked(api: Api, patience: float = 0) -> dict[str, tuple[str, bool]]:
    found = health(Site(api.url, patience), "1.2.3+gabc", "7", "make apply")
    return {finding.thing: (finding.found, finding.ok) for finding in found}


def test_this_build_on_this_version_is_well(api: Api) -> None:
    api.answers = [healthy()]

    assert looked(api) == {
        "GET /health": ("200", True),
        "version in GET /health": ("1.2.3+gabc", True),
        "function_version in GET /health": ("7", True),
    }


def test_another_build_and_another_version_are_found(api: Api) -> None:
    api.answers = [healthy(version="1.2.2", function_version="6")]

    assert looked(api) == {
        "GET /health": ("200", True),
        "version in GET /health": ("1.2.2", False),
        "function_version in GET /health": ("6", False),
    }


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ((502, "application/json", '{"message": "Internal server error"}'), '502 {"message": "Internal server error"}'),
        ((404, "text/html", "<h1>no</h1>"), "404 <h1>no</h1>"),
    ],
)
def test_what_is_no_health_is_shown(api: Api, answer: tuple[int, str, str], found: str) -> None:
    api.answers = [answer]

    assert looked(api) == {"GET /health": (found, False)}


@pytest.mark.parametrize("body", ["[]", "no json"])
def test_a_foreign_200_says_nothing(api: Api, body: str) -> None:
    api.answers = [(200, "application/json", body)]

    assert looked(api)["version in GET /health"] == ("nothing", False)


def test_an_old_answer_is_waited_out(api: Api) -> None:
    api.answers = [healthy(function_version="6"), healthy()]

    assert looked(api, patience=30)["function_version in GET /health"] == ("7", True)


@pytest.mark.parametrize(
    ("answer", "found", "ok"),
    [
        ((401, "application/problem+json", "{}"), "401 application/problem+json", True),
        ((401, "application/json", "{}"), "401 application/json", False),
        ((202, "application/json", "{}"), "202 application/json", False),
    ],
)
def test_only_401_as_a_problem_is_a_refusal(api: Api, answer: tuple[int, str, str], found: str, ok: bool) -> None:
    api.answers = [answer]

    (finding,) = refusal(Site(api.url, 0), "make apply")

    assert (finding.found, finding.ok) == (found, ok)


def test_silence_is_an_error_and_no_answer() -> None:
    with pytest.raises(httpx.ConnectError):
        list(health(Site("http://127.0.0.1:1", 0), None, None, ""))
