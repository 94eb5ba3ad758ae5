"""Signing in beside `make run`: from the API's address to an accepted token, as a browser and a client do it."""

import base64
import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.e2e.conftest import StartStack
from tests.e2e.running_stack import RunningStack
from tests.patience import eventually
from tools.doctor.redirects import LOGIN_REDIRECTS

VERIFIER = "a-verifier-of-more-than-43-characters-0123456789"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


class SignIn:
    """A client that knows only the address of the API."""

    def __init__(self, url: str, http: httpx.Client) -> None:
        self.http = http
        self.resource = self.http.get(f"{url}/.well-known/oauth-protected-resource").json()
        (issuer,) = self.resource["authorization_servers"]
        self.metadata = self.http.get(f"{issuer}/.well-known/openid-configuration").json()
        self.client_id = self.resource["lambda_router_client_id"]

    def code(self, user: str, redirect: str = LOGIN_REDIRECTS[4]) -> str:
        """What a new browser brings back: it follows the way over the page, and sends the form."""
        self.http.cookies.clear()
        page = self.authorize(redirect)
        assert (page.status_code, page.url.path) == (200, "/login")
        sent = self.http.post(page.url, data={"username": user})
        address, _, query = sent.headers["Location"].partition("?")
        answer = parse_qs(query)
        assert (address, answer["state"]) == (redirect, ["the-state"])
        return answer["code"][0]

    def authorize(self, redirect: str) -> httpx.Response:
        """Where the authorization endpoint sends a browser: to the page, or with a code to the client."""
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": redirect,
            "scope": " ".join(["openid", *self.resource["scopes_supported"]]),
            "state": "the-state",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        answer = self.http.get(self.metadata["authorization_endpoint"], params=asked)
        is_asked = urlsplit(answer.headers.get("Location", "")).path == "/login"
        return self.http.get(answer.headers["Location"]) if is_asked else answer

    def token(self, **form: str) -> httpx.Response:
        return self.http.post(self.metadata["token_endpoint"], data={"client_id": self.client_id} | form)

    def tokens(self, user: str, redirect: str = LOGIN_REDIRECTS[4]) -> dict[str, Any]:
        code = self.code(user, redirect)
        answer = self.token(grant_type="authorization_code", code=code, redirect_uri=redirect, code_verifier=VERIFIER)
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    def refreshed(self, refresh_token: str) -> httpx.Response:
        return self.token(grant_type="refresh_token", refresh_token=refresh_token)

    def status(self, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return self.http.get(f"{self.resource['resource']}/v1/jobs", headers=headers).status_code


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def sign_in(stack: RunningStack, http: httpx.Client) -> SignIn:
    return SignIn(stack.url, http)


def test_the_address_of_the_api_leads_to_an_accepted_token(sign_in: SignIn, stack: RunningStack) -> None:
    tokens = sign_in.tokens("alice")

    assert sign_in.resource["resource"] == stack.url
    assert sign_in.status(tokens["access_token"]) == 200
    assert sign_in.status(tokens["id_token"]) == 401


def test_a_person_is_the_caller_of_make_token(sign_in: SignIn, stack: RunningStack) -> None:
    with stack.caller("carol") as caller:
        caller.post("/v1/jobs", json={"type": "generate", "input": {"prompt": "x"}}).raise_for_status()
    headers = {"Authorization": f"Bearer {sign_in.tokens('carol')['access_token']}"}

    assert len(sign_in.http.get(f"{stack.url}/v1/jobs", headers=headers).json()["data"]) == 1


def test_tokens_are_refreshed_and_revoked(sign_in: SignIn) -> None:
    second = sign_in.refreshed(sign_in.tokens("bob")["refresh_token"]).json()

    assert sign_in.status(second["access_token"]) == 200
    form = {"client_id": sign_in.client_id, "token": second["refresh_token"]}
    assert sign_in.http.post(sign_in.metadata["revocation_endpoint"], data=form).status_code == 200
    assert sign_in.refreshed(second["refresh_token"]).json() == {"error": "invalid_grant"}


def test_the_page_that_make_run_names_first_signs_people_in(sign_in: SignIn, stack: RunningStack) -> None:
    """With what the page knows: the pool's domain, the client, and its own address."""
    (first, *_) = (word for line in stack.said for word in line.split() if word.startswith(f"{stack.url}/"))
    found = re.search('name="lambda-router" content="(.*?)"', sign_in.http.get(first).text)
    assert found is not None
    facts = json.loads(unescape(found[1]))

    assert f"{facts['domain']}/oauth2/authorize" == sign_in.metadata["authorization_endpoint"]
    assert (facts["client_id"], facts["missing"]) == (sign_in.client_id, [])
    assert sign_in.status(sign_in.tokens("alice", first)["access_token"]) == 200
    assert sign_in.authorize(first).headers["Location"].startswith(f"{first}?code=")  # the browser is known by now
    sign_out = {"client_id": facts["client_id"], "logout_uri": first}
    assert sign_in.http.get(f"{facts['domain']}/logout", params=sign_out).headers["Location"] == first
    assert sign_in.authorize(first).url.path == "/login"


def test_of_many_that_use_a_code_at_once_one_gets_tokens(sign_in: SignIn) -> None:
    code, start = sign_in.code("demo"), threading.Barrier(8)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": LOGIN_REDIRECTS[4]}

    def use(_: int) -> int:
        start.wait()
        return sign_in.token(**form, code_verifier=VERIFIER).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(use, range(8))) == [200, *[400] * 7]


def test_a_program_signs_in_with_its_secret(sign_in: SignIn, stack: RunningStack) -> None:
    credentials = (stack.facts["machine_client_id"], stack.facts["machine_client_secret"])
    form = {"grant_type": "client_credentials", "scope": "lambda-router/jobs"}
    answer = sign_in.http.post(sign_in.metadata["token_endpoint"], data=form, auth=credentials)

    assert sign_in.status(answer.json()["access_token"]) == 200


def test_no_code_or_token_is_in_the_pools_log(sign_in: SignIn, stack: RunningStack) -> None:
    code = sign_in.code("demo")
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": LOGIN_REDIRECTS[4]}
    tokens = sign_in.token(**form, code_verifier=VERIFIER).json()
    log = stack.log("cognito")

    assert "POST /oauth2/token 200\n" in log
    for secret in (code, VERIFIER, tokens["access_token"], tokens["id_token"], tokens["refresh_token"]):
        assert secret not in log


def test_a_restarted_stack_keeps_issuer_and_sessions(start_stack: StartStack, http: httpx.Client) -> None:
    first = start_stack(LOCAL_TOKEN_SECONDS="2", ROUTER_TOKEN_LEEWAY_SECONDS="0")
    before = SignIn(first.url, http)
    tokens = before.tokens("alice")
    assert tokens["expires_in"] == 2
    assert eventually(lambda: before.status(tokens["access_token"]) == 401)
    assert first.stop() == 0

    second = start_stack(first.port)
    after = SignIn(second.url, http)
    assert (after.resource, after.metadata) == (before.resource, before.metadata)
    assert after.status(after.refreshed(tokens["refresh_token"]).json()["access_token"]) == 200
    assert second.stop() == 0


def test_a_length_beyond_any_number_is_refused(sign_in: SignIn) -> None:
    place = urlsplit(sign_in.metadata["token_endpoint"])
    with socket.create_connection((place.hostname, place.port), 10) as connection:
        head = f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {'9' * 5_000}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(4_096).split(b" ")[1] == b"413"
