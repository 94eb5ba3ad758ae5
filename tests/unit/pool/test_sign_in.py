"""tools.local.pool: the sign-in page, and the requests for a code that it refuses as Cognito does."""

from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest

from tests.unit.pool.signing_in import ENDPOINT, VERIFIER, LocalPool, answer_of, claims_of, json_of, query_of


class _Forms(HTMLParser):
    """The forms of a page: where they lead, and the names that they offer."""

    def __init__(self) -> None:
        super().__init__()
        self.actions: list[str] = []
        self.users: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.actions += [str(given["action"])] if tag == "form" else []
        self.users += [str(given["value"])] if tag == "button" and "value" in given else []
        self.scripts += tag == "script"


def test_the_authorization_endpoint_leads_to_the_page_with_the_same_request(pool: LocalPool) -> None:
    reply = pool.get("/oauth2/authorize", pool.asked())

    assert reply.status == 302
    assert reply.headers["Location"] == f"{ENDPOINT}/login?{urlencode(pool.asked())}"


def test_the_page_offers_users_and_carries_the_request_on(pool: LocalPool) -> None:
    reply = pool.get("/login", pool.asked())
    forms = _Forms()
    forms.feed(reply.body.decode())

    assert (reply.status, forms.users, forms.scripts) == (200, ["demo", "alice", "bob"], 0)
    assert [query_of(action) for action in forms.actions] == [query_of(f"?{urlencode(pool.asked())}")] * 2


def test_the_page_runs_nothing_and_leads_nowhere_else(pool: LocalPool) -> None:
    headers = pool.get("/login", pool.asked()).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))

    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    # A browser applies it to the redirect that answers the form, too.
    assert policy["form-action"] == "'self' http://127.0.0.1:28711"
    assert headers["Cache-Control"] == "no-store"


def test_what_a_request_carries_is_text_on_the_page(pool: LocalPool) -> None:
    mark = '"><script>alert(1)</script>'
    for reply in (pool.get("/login", f"{urlencode(pool.asked())}&x={mark}"), pool.get("/login", {"client_id": mark})):
        forms = _Forms()
        forms.feed(reply.body.decode())
        assert forms.scripts == 0


@pytest.mark.parametrize("state", ["a/state+&=", "ü%20", ""])
def test_the_state_comes_back_as_it_was_sent(pool: LocalPool, state: str) -> None:
    reply = pool.post("/login", {"username": "demo"}, urlencode(pool.asked(state=state or None)))

    assert answer_of(reply).get("state", "") == state


def test_a_form_of_another_site_signs_nobody_in(pool: LocalPool) -> None:
    query = urlencode(pool.asked())

    assert pool.post("/login", {"username": "demo"}, query, origin="http://evil.example.com").status == 400
    assert pool.post("/login", {"username": "demo"}, query, origin="null").status == 400
    assert pool.post("/login", {"username": "demo"}, query, origin=ENDPOINT).status == 302


@pytest.mark.parametrize("host", ["evil.example.com:9999", "127.0.0.1", ""])
def test_a_name_that_somebody_made_point_here_gets_nothing(pool: LocalPool, host: str) -> None:
    assert pool.get("/login", pool.asked(), host=host).status == 421


@pytest.mark.parametrize("user", ["", "-a", "a b", "<b>", "a" * 65])
def test_a_name_that_is_none_is_refused(pool: LocalPool, user: str) -> None:
    assert pool.post("/login", {"username": user}, urlencode(pool.asked())).status == 400


UNANSWERABLE = {
    "another path": {"redirect_uri": "http://127.0.0.1:28711/callback/"},
    "another port": {"redirect_uri": "http://127.0.0.1:28716/callback"},
    "another host": {"redirect_uri": "http://localhost:28711/callback"},
    "with a query": {"redirect_uri": "http://127.0.0.1:28711/callback?x=1"},
    "elsewhere": {"redirect_uri": "https://evil.example.com/callback"},
    "no redirect": {"redirect_uri": None},
    "no client": {"client_id": None},
    "unknown client": {"client_id": "somebody"},
}
REFUSED = {
    "no PKCE": ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    "plain PKCE": ({"code_challenge": VERIFIER, "code_challenge_method": "plain"}, "invalid_request"),
    "no method": ({"code_challenge_method": None}, "invalid_request"),
    "short challenge": ({"code_challenge": "abc"}, "invalid_request"),
    "another scope": ({"scope": "openid lambda-router/admin"}, "invalid_scope"),
    "implicit": ({"response_type": "token"}, "unauthorized_client"),
}


@pytest.mark.parametrize("path", ["/oauth2/authorize", "/login"])
@pytest.mark.parametrize("changes", UNANSWERABLE.values(), ids=UNANSWERABLE)
def test_nobody_is_sent_to_an_address_that_is_not_registered(
    pool: LocalPool, changes: dict[str, str | None], path: str
) -> None:
    reply = pool.get(path, pool.asked(**changes))

    assert (reply.status, "Location" in reply.headers) == (400, False)


@pytest.mark.parametrize("path", ["/oauth2/authorize", "/login"])
@pytest.mark.parametrize(("changes", "error"), REFUSED.values(), ids=REFUSED)
def test_a_client_hears_why_its_request_is_refused(
    pool: LocalPool, changes: dict[str, str | None], error: str, path: str
) -> None:
    answer = answer_of(pool.get(path, pool.asked(**changes)))

    assert (answer["error"], answer["state"], "code" in answer) == (error, "a/state+&=", False)


def test_a_parameter_that_stands_twice_is_refused(pool: LocalPool) -> None:
    assert pool.get("/login", f"{urlencode(pool.asked())}&client_id=other").status == 400
    reply = pool.post("/oauth2/token", "grant_type=refresh_token&grant_type=refresh_token")
    assert (reply.status, json_of(reply)["error"]) == (400, "invalid_request")


def test_without_a_scope_all_of_the_clients_are_granted(pool: LocalPool) -> None:
    scopes = claims_of(pool.tokens(scope=None)["access_token"])["scope"].split()

    assert sorted(scopes) == ["email", "lambda-router/jobs", "openid"]
