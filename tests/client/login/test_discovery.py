"""From an address to endpoints: RFC 9728's place first, nothing of another's, nothing unencrypted."""

import json

import pytest

from lambda_router import addresses, servers
from lambda_router.discovery import discover
from lambda_router.errors import BadServer
from tests.client.played_router import RESOURCE, PlayedRouter
from tools.local.pool.messages import Reply, json_reply


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("https://host/prod", "https://host/prod"),
        ("https://host/prod/", "https://host/prod"),
        ("https://host/prod/v1", "https://host/prod"),
        ("https://host/v1/", "https://host"),
        ("HTTPS://Host:443/Prod", "https://host/Prod"),
        ("host/prod", "https://host/prod"),
        (" https://host:8443 ", "https://host:8443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost:8000/", "http://localhost:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("localhost:8000", "http://localhost:8000"),
        ("127.0.0.1:8000/v1", "http://127.0.0.1:8000"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("https://localhost:8443", "https://localhost:8443"),
    ],
)
def test_an_address_is_normalised(typed: str, address: str) -> None:
    assert addresses.normalised(typed) == address


@pytest.mark.parametrize(
    "typed",
    ["", "http://host", "http://127.0.0.1.evil.example", "ftp://host", "https://", "https://user:pass@host",
     "https://host?x=1", "https://host#x", "https://ho st", "https://host:port", "https://[::1", "file:///etc/passwd"],
)  # fmt: skip
def test_what_is_no_address_or_not_private_is_refused(typed: str) -> None:
    with pytest.raises(BadServer):
        addresses.normalised(typed)


def test_the_places_are_the_rfcs_and_the_one_below_a_stage() -> None:
    assert addresses.metadata_places("https://host/prod") == [
        "https://host/.well-known/oauth-protected-resource/prod",
        "https://host/prod/.well-known/oauth-protected-resource",
    ]
    assert len(addresses.metadata_places("https://host")) == 1


@pytest.mark.parametrize("is_rfc", [True, False])
def test_a_stages_document_is_found_in_both_places(router: PlayedRouter, is_rfc: bool) -> None:
    url = f"{router.url}/prod"
    rfc, below = f"{RESOURCE}/prod", f"/prod{RESOURCE}"
    document = {"resource": url, "authorization_servers": [router.pool.issuer]}
    router.lies = {
        rfc if is_rfc else below: lambda *_: json_reply(document),
        below if is_rfc else rfc: lambda *_: json_reply({"message": "Missing Authentication Token"}, 403),
    }
    assert discover(url).resource == url
    assert router.counted[rfc] == 1
    assert router.counted[below] == (0 if is_rfc else 1)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("resource", "https://evil.example"),
        ("resource", 1),
        ("authorization_servers", []),
        ("authorization_servers", "https://issuer"),
        ("authorization_servers", ["http://issuer.example"]),
        ("authorization_servers", [{}]),
    ],
)
def test_a_document_that_must_not_be_used_is_refused(router: PlayedRouter, member: str, value: object) -> None:
    router.document[member] = value
    with pytest.raises(BadServer):
        discover(router.url)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("issuer", "https://evil.example"),
        ("token_endpoint", "http://evil.example/token"),
        ("token_endpoint", None),
        ("authorization_endpoint", "javascript:alert(1)"),
        ("revocation_endpoint", "http://127.0.0.1@evil.example/"),
    ],
)
def test_metadata_that_must_not_be_used_is_refused(router: PlayedRouter, member: str, value: object) -> None:
    path = f"/{router.directory.pool_id}/.well-known/openid-configuration"
    router.lies[path] = lambda _, reply: json_reply(json.loads(reply.body) | {member: value})
    with pytest.raises(BadServer):
        discover(router.url)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(404),
        Reply(200, {}, b"<html>"),
        Reply(200, {}, b"[1]"),
        Reply(200, {}, b"[" * 100_000),
        Reply(302, {"Location": "/x"}),
    ],
    ids=["404", "html", "list", "deep", "redirect"],
)
def test_a_server_that_is_no_router_is_told(router: PlayedRouter, reply: Reply) -> None:
    router.lies[RESOURCE] = lambda *_: reply
    with pytest.raises(BadServer, match="check the address"):
        discover(router.url)


def test_an_answer_without_end_is_cut_off(router: PlayedRouter) -> None:
    router.lies[RESOURCE] = lambda *_: Reply(200, {}, b" " * 1_000_000)
    with pytest.raises(BadServer, match="bytes"):
        discover(router.url)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://127.0.0.1:8000", "local"),
        ("http://127.0.0.1:9000", "local-9000"),
        ("https://abc123.execute-api.eu-central-1.amazonaws.com/prod", "abc123-prod"),
        ("https://router.example.com", "router"),
        ("https://[2001:db8::1]/x", "2001-db8-1-x"),
    ],
)
def test_a_server_gets_a_name_that_can_be_typed(url: str, name: str) -> None:
    assert servers.name_for(url, []) == name
    assert servers.name_for(url, [name]) == f"{name}-2"
    assert servers.NAME.fullmatch(name)
