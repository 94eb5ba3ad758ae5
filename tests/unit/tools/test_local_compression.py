"""The gateway of ``make run`` compresses as API Gateway does for an API with the pages, and never a stream."""

import gzip
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from chalice.app import Chalice, Response

from chalicelib.api.streamed import StreamedResponse
from tests.contract.repository import page
from tests.http_server import serving
from tools.local.gateway import COMPRESSED_FROM_BYTES, Gateway

LONG = "words " * 1_000


def an_app(*, has_pages: bool = True) -> Chalice:
    app = Chalice(app_name="tiny", configure_logs=False)

    def text(body: str) -> Response:
        return Response(body, {"Content-Type": "text/plain"})

    if has_pages:
        app.route("/docs", methods=["GET", "HEAD"])(lambda: text(LONG))
    app.route("/long")(lambda: text(LONG))
    app.route("/long-enough")(lambda: text("a" * COMPRESSED_FROM_BYTES))
    app.route("/short")(lambda: text("a" * (COMPRESSED_FROM_BYTES - 1)))
    app.route("/pieces")(lambda: StreamedResponse(iter([LONG.encode()]), {"Content-Type": "text/event-stream"}))
    app.route("/v1/responses")(lambda: text(LONG))
    return app


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(Gateway(an_app())) as port:
        yield port


def ask(port: int, path: str, accepted: str | None, method: str = "GET") -> tuple[str | None, bytes]:
    """The coding of a response, and its body as it came."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path, headers={"Accept-Encoding": accepted} if accepted is not None else {})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.headers["Content-Encoding"], body


@pytest.mark.parametrize("accepted", ["gzip", "gzip, deflate, br, zstd", "br;q=1.0, GZIP;q=0.8", "deflate,gzip;q=1"])
def test_a_long_body_is_compressed_for_who_accepts_it(port: int, accepted: str) -> None:
    coding, body = ask(port, "/long", accepted)

    assert (coding, gzip.decompress(body).decode()) == ("gzip", LONG)
    assert len(body) < len(LONG) / 10


@pytest.mark.parametrize("accepted", ["", "identity", "*", "br", "gzip;q=0", "gzip; q=0.0", "x-gzip"])
def test_it_is_not_for_anybody_else(port: int, accepted: str) -> None:
    assert ask(port, "/long", accepted) == (None, LONG.encode())


def test_a_body_is_compressed_from_the_size_that_terraform_names(port: int) -> None:
    assert [ask(port, path, "gzip")[0] for path in ("/short", "/long-enough")] == [None, "gzip"]
    assert f"has_pages ? {COMPRESSED_FROM_BYTES} : " in page("terraform/chalice_override.tf")


@pytest.mark.parametrize("path", ["/pieces", "/v1/responses"])
def test_what_is_streamed_passes_unchanged(port: int, path: str) -> None:
    assert ask(port, path, "gzip") == (None, LONG.encode())


def test_head_names_the_coding_of_get(port: int) -> None:
    assert ask(port, "/docs", "gzip", "HEAD") == ("gzip", b"")


def test_an_api_without_the_pages_compresses_nothing() -> None:
    with serving(Gateway(an_app(has_pages=False))) as port:
        assert ask(port, "/long", "gzip") == (None, LONG.encode())
