"""The pages of ``make run`` as a browser fetches them, without a browser. ``make test-browser`` has one."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.e2e.running_stack import RunningStack

VERIFIER = "a-verifier-of-more-than-43-characters-0123456789"


@pytest.fixture
def http(stack: RunningStack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.url, trust_env=False, headers={"Accept-Encoding": "gzip"}) as client:
        yield client


def config(page: httpx.Response) -> dict[str, Any]:
    (found,) = re.findall(r'<meta name="lambda-router" content="([^"]*)"', page.text)
    return dict(json.loads(html.unescape(found)))


def files_of(page: httpx.Response) -> list[str]:
    return re.findall(r'(?:src|href)="(pages/[^"]+)"', page.text)


def received(response: httpx.Response) -> int:
    """Bytes over the wire, head and body."""
    return response.num_bytes_downloaded + sum(len(name) + len(value) + 4 for name, value in response.headers.raw)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_and_all_its_files_come_from_here(http: httpx.Client, stack: RunningStack, path: str) -> None:
    page = http.get(path)
    policy = page.headers["Content-Security-Policy"]
    answers = [http.get(f"/{name}") for name in files_of(page)]

    assert (page.status_code, config(page)["missing"]) == (200, [])
    assert len(answers) >= 3
    assert {answer.status_code for answer in answers} == {200}
    assert re.findall(r"https?://[^\s;]+", policy) == [stack.facts["endpoint"]] == [config(page)["domain"]]
    assert "unsafe" not in policy


def test_the_page_is_light_over_the_wire(http: httpx.Client) -> None:
    page = http.get("/")
    whole = [page, *(http.get(f"/{name}") for name in files_of(page))]

    assert page.headers["Content-Encoding"] == "gzip"
    assert sum(map(received, whole)) < 60_000


def test_what_the_page_knows_is_enough_to_sign_in(http: httpx.Client, stack: RunningStack) -> None:
    its, home = config(http.get("/")), f"{stack.url}/"
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
    client = {"client_id": its["client_id"], "redirect_uri": home}
    asked = client | {"response_type": "code", "scope": its["scope"], "state": "s", "nonce": "n"}
    proof = {"code_challenge": challenge, "code_challenge_method": "S256"}
    login = http.get(f"{its['domain']}/oauth2/authorize", params=asked | proof, follow_redirects=True)
    back = http.post(login.url, data={"username": "alice"}).headers["Location"]
    (code,) = parse_qs(urlsplit(back).query)["code"]
    grant = client | {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
    issued = http.post(f"{its['domain']}/oauth2/token", data=grant, headers={"Origin": stack.url})
    token = issued.json()["access_token"]

    assert back.startswith(f"{home}?")
    assert issued.headers["Access-Control-Allow-Origin"] in {"*", stack.url}
    assert http.get("/v1/models", headers={"Authorization": f"Bearer {token}"}).status_code == 200
