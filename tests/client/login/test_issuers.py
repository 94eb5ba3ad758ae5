"""The login at an issuer that is not the one that was asked, or lies about its tokens."""

import json
from collections.abc import Callable

import pytest

from lambda_router import servers
from lambda_router.errors import BadServer
from lambda_router.login import code_login
from lambda_router.token_endpoint import claims_of
from tests.client.logins import id_token, with_member
from tests.client.played_router import PlayedRouter, in_background, signed_in, visit
from tools.local.pool.messages import Reply, Request, json_reply


def test_an_answer_of_another_issuer_is_refused(router: PlayedRouter, said: list[str]) -> None:
    """RFC 9207: between discovery and answer."""
    path = f"/{router.directory.pool_id}/.well-known/openid-configuration"
    router.lies[path] = with_member("authorization_response_iss_parameter_supported", True)

    def browser(issuer: str) -> Callable[[str], None]:
        def open_page(address: str) -> None:
            visit(f"{signed_in(address)}{issuer}")

        return open_page

    for issuer in ("", "&iss=https://evil.example"):
        with pytest.raises(BadServer, match="another issuer"):
            code_login.in_browser(code_login.begin(router.url), said.append, browser(issuer))
    assert router.counted["authorization_code"] == 0

    code_login.in_browser(code_login.begin(router.url), said.append, browser(f"&iss={router.pool.issuer}"))


def test_tokens_of_another_issuer_are_refused(router: PlayedRouter, said: list[str]) -> None:
    router.lies["/oauth2/token"] = with_member("access_token", id_token({"iss": "https://evil.example"}))
    with pytest.raises(BadServer, match="another issuer"):
        code_login.in_browser(code_login.begin(router.url), said.append, in_background)
    assert not servers.load().servers


def test_an_id_token_in_place_of_an_access_token_is_refused(router: PlayedRouter, said: list[str]) -> None:
    router.lies["/oauth2/token"] = with_member("access_token", id_token({"token_use": "id"}))
    with pytest.raises(BadServer, match="id token"):
        code_login.in_browser(code_login.begin(router.url), said.append, in_background)


@pytest.mark.parametrize("wrong", [None, "nonce", "iss", "aud"])
def test_with_openid_the_id_token_is_compared_with_the_login(
    router: PlayedRouter, said: list[str], wrong: str | None
) -> None:
    router.document["scopes_supported"] = ["openid", "lambda-router/jobs"]

    def another(_: Request, reply: Reply) -> Reply:
        body = json.loads(reply.body)
        claims = claims_of(body["id_token"])
        return json_reply(body | {"id_token": id_token(claims | ({wrong: "other"} if wrong else {}))})

    router.lies["/oauth2/token"] = another
    if wrong is None:
        code_login.in_browser(code_login.begin(router.url), said.append, in_background)
        return
    with pytest.raises(BadServer, match="id token"):
        code_login.in_browser(code_login.begin(router.url), said.append, in_background)


def test_a_changed_issuer_is_refused_until_the_server_is_removed(logged_in: PlayedRouter, said: list[str]) -> None:
    name, other = servers.load().servers[0].name, f"{logged_in.url}/other"
    logged_in.document["authorization_servers"] = [other]
    path = f"/{logged_in.directory.pool_id}/.well-known/openid-configuration"
    logged_in.lies["/other/.well-known/openid-configuration"] = lambda *_: json_reply(
        logged_in.pool.metadata() | {"issuer": other}
    )

    with pytest.raises(BadServer, match=f"servers remove {name}"):
        code_login.begin(logged_in.url)
    servers.save(servers.load().without(name))
    assert code_login.begin(logged_in.url).server.issuer == other
    assert logged_in.counted[path] == 1
