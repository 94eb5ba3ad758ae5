"""``tools/verify/caller_token.py``: where a program's token comes from; no secret is printed when there is none."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.unit import peers
from tools.verify.caller_token import NoToken, caller_token

SECRET = "the-secret-of-the-client"


class TokenEndpoint(BaseHTTPRequestHandler):
    """Cognito's ``/oauth2/token``, as far as the client credentials grant goes."""

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        basic = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
        good = basic == f"client:{SECRET}" and form == "grant_type=client_credentials"
        body = json.dumps({"access_token": "granted"} if good else {"error": "invalid_client"}).encode()
        self.send_response(200 if good else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def cognito() -> Iterator[dict[str, str]]:
    """The variables of a client that gets a token."""
    with HTTPServer(("127.0.0.1", 0), TokenEndpoint) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/oauth2/token"
        yield {"COGNITO_TOKEN_URL": url, "COGNITO_CLIENT_ID": "client", "COGNITO_CLIENT_SECRET": SECRET}
        server.shutdown()


def test_a_given_token_is_taken_as_it_is() -> None:
    assert caller_token({"TOKEN": "given", "COGNITO_CLIENT_ID": "client"}) == "given"


def test_a_client_with_its_secret_is_granted_a_token(cognito: dict[str, str]) -> None:
    assert caller_token(cognito) == "granted"


def test_a_refused_client_is_named_and_its_secret_is_not(cognito: dict[str, str]) -> None:
    with pytest.raises(NoToken, match="returned 400 instead of a token: the app client other needs") as refused:
        caller_token(cognito | {"COGNITO_CLIENT_ID": "other"})

    assert SECRET not in str(refused.value)


def test_an_endpoint_that_does_not_answer_is_named(cognito: dict[str, str]) -> None:
    with pytest.raises(NoToken, match=r"^no response from http://127.0.0.1:1/oauth2/token: ConnectError:"):
        caller_token(cognito | {"COGNITO_TOKEN_URL": "http://127.0.0.1:1/oauth2/token"})


@pytest.mark.parametrize("body", ["<h1>Log in to this network</h1>", "[]", "{}"])
def test_a_stranger_in_place_of_the_endpoint_gives_no_token(cognito: dict[str, str], body: str) -> None:
    with (
        peers.api(lambda _: peers.Said(200, "text/html", body)) as url,
        pytest.raises(NoToken, match="without a token"),
    ):
        caller_token(cognito | {"COGNITO_TOKEN_URL": url})


def test_a_given_token_that_has_expired_is_not_sent() -> None:
    payload = base64.urlsafe_b64encode(json.dumps({"exp": 1_700_000_000}).encode()).decode().rstrip("=")

    with pytest.raises(NoToken, match=r"^TOKEN expired \d+ s ago"):
        caller_token({"TOKEN": f"e30.{payload}.signature"})


def test_what_is_missing_is_listed() -> None:
    with pytest.raises(NoToken, match=r"missing: COGNITO_TOKEN_URL, COGNITO_CLIENT_SECRET$"):
        caller_token({"COGNITO_CLIENT_ID": "client"})
