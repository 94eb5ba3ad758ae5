"""tools.local.pool: signs people in at the API's pages, and knows their browsers again, as Cognito does."""

from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.unit.pool.signing_in import LocalPool, answer_of, claims_of, json_of
from tools.local.pool.browsers import COOKIE_SECONDS
from tools.local.pool.tokens import SigningKey


@pytest.fixture
def pool(tmp_path: Path, signing_key: rsa.RSAPrivateKey) -> LocalPool:
    return LocalPool(tmp_path, SigningKey(signing_key))


PAGE = "http://127.0.0.1:9998/"


def test_a_page_signs_people_in_from_the_moment_when_its_stack_says_so(pool: LocalPool) -> None:
    redirects = [PAGE, f"{PAGE}docs/oauth2-redirect"]
    assert [pool.get("/oauth2/authorize", pool.asked(redirect_uri=each)).status for each in redirects] == [400, 400]

    pool.pages.add("http://127.0.0.1:8000/")
    pool.pages.add(PAGE)

    assert [pool.get("/oauth2/authorize", pool.asked(redirect_uri=each)).status for each in redirects] == [302, 302]
    assert pool.get("/oauth2/authorize", pool.asked(redirect_uri="http://127.0.0.1:8000/")).status == 302
    assert pool.get("/oauth2/authorize", pool.asked(redirect_uri=f"{PAGE}v1/jobs")).status == 400


def test_a_page_gets_tokens_as_a_command_line_does(pool: LocalPool) -> None:
    pool.pages.set(PAGE)
    reply = pool.post("/login", {"username": "alice"}, urlencode(pool.asked(redirect_uri=PAGE)))
    address, _, query = reply.headers["Location"].partition("?")
    issued = json_of(pool.exchanged(dict(parse_qsl(query))["code"], redirect_uri=PAGE))

    assert (address, claims_of(issued["id_token"])["nonce"]) == (PAGE, "a-nonce")
    assert json_of(pool.refreshed(issued["refresh_token"]))["refresh_token"] != issued["refresh_token"]


def test_pages_of_any_origin_may_read_what_the_token_endpoints_answer(pool: LocalPool) -> None:
    token = pool.tokens()["refresh_token"]
    replies = [pool.exchanged("no-code"), pool.refreshed("no-token"), pool.refreshed(token), pool.revoked(token)]

    assert [reply.status for reply in replies] == [400, 400, 200, 200]
    assert {reply.headers.get("Access-Control-Allow-Origin") for reply in replies} == {"*"}


def _signed_in_browser(pool: LocalPool, user: str = "alice") -> dict[str, str]:
    """The cookie of a browser in which somebody has signed in."""
    reply = pool.post("/login", {"username": user}, urlencode(pool.asked()))
    return {"cookie": f"theme=dark; {reply.headers['Set-Cookie'].partition(';')[0]}"}


def test_a_browser_in_which_somebody_has_signed_in_is_not_asked_again(pool: LocalPool) -> None:
    browser = _signed_in_browser(pool, "alice")
    answer = answer_of(pool.get("/oauth2/authorize", pool.asked(), **browser))
    issued = json_of(pool.exchanged(answer["code"]))

    assert answer["state"] == "a/state+&="
    assert claims_of(issued["access_token"])["sub"] == pool.directory.subject("alice")


def test_a_sign_in_by_cookie_is_as_old_as_the_one_with_the_form(pool: LocalPool) -> None:
    browser, began = _signed_in_browser(pool), pool.now
    pool.now += 100
    issued = json_of(pool.exchanged(answer_of(pool.get("/oauth2/authorize", pool.asked(), **browser))["code"]))

    assert claims_of(issued["access_token"])["auth_time"] == int(began)


NOT_KNOWN = {
    "no cookie": {},
    "of nobody": {"cookie": "cognito-us-east-1_x=abc"},
    "unreadable": {"cookie": 'a b=c; "=;;=,'},
}


@pytest.mark.parametrize("browser", NOT_KNOWN.values(), ids=NOT_KNOWN)
def test_any_other_browser_is_asked(pool: LocalPool, browser: dict[str, str]) -> None:
    _signed_in_browser(pool)

    assert urlsplit(pool.get("/oauth2/authorize", pool.asked(), **browser).headers["Location"]).path == "/login"


def test_a_browser_is_known_for_an_hour(pool: LocalPool) -> None:
    browser = _signed_in_browser(pool)
    pool.now += COOKIE_SECONDS - 1
    assert "code" in answer_of(pool.get("/oauth2/authorize", pool.asked(), **browser))
    pool.now += 2
    assert urlsplit(pool.get("/oauth2/authorize", pool.asked(), **browser).headers["Location"]).path == "/login"


def test_a_sign_out_ends_what_the_cookie_says(pool: LocalPool) -> None:
    browser = _signed_in_browser(pool)
    reply = pool.get("/logout", {"client_id": pool.directory.login.id}, **browser)

    assert "Max-Age=0" in reply.headers["Set-Cookie"]
    assert urlsplit(pool.get("/oauth2/authorize", pool.asked(), **browser).headers["Location"]).path == "/login"


def test_no_script_reads_the_cookie_and_no_other_site_sends_it(pool: LocalPool) -> None:
    reply = pool.post("/login", {"username": "demo"}, urlencode(pool.asked()))

    assert {"HttpOnly", "SameSite=Lax"} <= set(reply.headers["Set-Cookie"].split("; "))
