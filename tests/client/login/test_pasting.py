"""The login without a browser: what is pasted is the answer to this login, or nothing."""

from urllib.parse import parse_qs, urlsplit

import pytest

from lambda_router import tokens
from lambda_router.errors import LoginRefused
from lambda_router.login import code_login
from tests.client.logins import id_token
from tests.client.played_router import PlayedRouter, signed_in


def test_a_code_that_was_used_before_is_refused(router: PlayedRouter, said: list[str]) -> None:
    pending = code_login.begin(router.url)
    address: list[str] = []

    def answer() -> str:
        address.append(signed_in(said[0].split("\n")[1]))
        return address[0]

    code_login.by_pasting(pending, said.append, answer)
    with pytest.raises(LoginRefused, match="invalid_grant"):
        code_login.by_pasting(pending, said.append, lambda: address[0])


@pytest.mark.parametrize("part", ["whole", "query", "code"])
def test_what_is_pasted_may_be_the_address_its_query_or_the_code(
    router: PlayedRouter, said: list[str], part: str
) -> None:
    def paste() -> str:
        whole = signed_in(said[0].split("\n")[1])
        query = urlsplit(whole).query
        return {"whole": whole, "query": query, "code": parse_qs(query)["code"][0]}[part]

    code_login.by_pasting(code_login.begin(router.url), said.append, paste)

    assert tokens.fresh_token()


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "two words",
        "http://127.0.0.1:28711/callback?code=x",
        "http://127.0.0.1:28711/callback?code=x&state=another",
        "code=x&state=another",
        id_token({"token_use": "id"}),
        id_token({"token_use": "access"}),
        "https://pool/?error=access_denied&state=another",
        "\x1b[2J",
    ],
    ids=["nothing", "words", "no state", "other state", "other query", "id token", "access token", "error", "escape"],
)
def test_anything_else_that_is_pasted_is_refused(router: PlayedRouter, said: list[str], pasted: str) -> None:
    with pytest.raises(LoginRefused) as refused:
        code_login.by_pasting(code_login.begin(router.url), said.append, lambda: pasted)

    assert not pasted or pasted not in str(refused.value)
    assert router.counted["authorization_code"] == 0


def test_an_id_token_that_is_pasted_is_called_by_its_name(router: PlayedRouter, said: list[str]) -> None:
    with pytest.raises(LoginRefused, match="an id token"):
        code_login.by_pasting(code_login.begin(router.url), said.append, lambda: id_token({"token_use": "id"}))
