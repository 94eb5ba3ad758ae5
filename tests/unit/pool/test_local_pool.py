"""tools.local.pool: signs people and programs in as Cognito does, and refuses what Cognito refuses."""

import base64
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.contract.repository import page
from tests.unit.pool.signing_in import (
    ENDPOINT,
    VERIFIER,
    LocalPool,
    answer_of,
    claims_of,
    json_of,
    query_of,
)
from tools.doctor.redirects import LOGIN_REDIRECTS
from tools.local.pool.messages import Refused, Request, parameters
from tools.local.pool.sessions import CODE_SECONDS, GRACE_SECONDS, REFRESH_SECONDS
from tools.local.pool.tokens import TOKEN_SECONDS, SigningKey


@pytest.fixture
def pool(tmp_path: Path, signing_key: rsa.RSAPrivateKey) -> LocalPool:
    return LocalPool(tmp_path, SigningKey(signing_key))


# The sign-in page


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


# Requests for a code

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


# Tokens


def test_a_code_becomes_tokens_with_cognitos_claims(pool: LocalPool) -> None:
    tokens = pool.tokens("alice")
    access, identity = claims_of(tokens["access_token"]), claims_of(tokens["id_token"])

    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 300)
    assert access["iss"] == f"{ENDPOINT}/{pool.directory.pool_id}"
    assert (access["client_id"], access["token_use"]) == (pool.directory.login.id, "access")
    assert "aud" not in access
    assert access["exp"] - access["iat"] == 300
    assert (identity["aud"], identity["token_use"], identity["nonce"]) == (pool.directory.login.id, "id", "a-nonce")
    assert access["sub"] == identity["sub"] == pool.directory.subject("alice") != pool.directory.subject("bob")


def test_the_published_key_verifies_the_tokens(pool: LocalPool) -> None:
    metadata = json_of(pool.get(f"/{pool.directory.pool_id}/.well-known/openid-configuration"))
    (key,) = json_of(pool.get(metadata["jwks_uri"].removeprefix(ENDPOINT)))["keys"]
    token = pool.tokens()["access_token"]

    assert jwt.get_unverified_header(token) == {"alg": "RS256", "kid": key["kid"]}
    assert jwt.decode(token, jwt.PyJWK(key), ["RS256"], issuer=metadata["issuer"])["token_use"] == "access"


def test_without_openid_there_is_no_id_token(pool: LocalPool) -> None:
    assert "id_token" not in pool.tokens(scope="lambda-router/jobs")


def _wait(pool: LocalPool, seconds: float) -> None:
    pool.now += seconds


EXCHANGES = {
    "wrong verifier": {"code_verifier": "another"},
    "no verifier": {"code_verifier": ""},
    "another redirect": {"redirect_uri": LOGIN_REDIRECTS[1]},
}


@pytest.mark.parametrize("changes", EXCHANGES.values(), ids=EXCHANGES)
def test_a_code_is_worth_nothing_without_what_belongs_to_it(pool: LocalPool, changes: dict[str, str]) -> None:
    code = pool.code()
    reply = pool.exchanged(code, **changes)

    assert (reply.status, json_of(reply)) == (400, {"error": "invalid_grant"})
    assert json_of(pool.exchanged(code)) == {"error": "invalid_grant"}  # it is used up


def test_a_code_is_good_once(pool: LocalPool) -> None:
    code = pool.code()

    assert pool.exchanged(code).status == 200
    assert json_of(pool.exchanged(code)) == {"error": "invalid_grant"}


def test_a_code_is_good_for_five_minutes(pool: LocalPool) -> None:
    early, late = pool.code(), pool.code()
    _wait(pool, CODE_SECONDS - 1)
    assert pool.exchanged(early).status == 200
    _wait(pool, 1)
    assert json_of(pool.exchanged(late)) == {"error": "invalid_grant"}


TOKEN_REQUESTS = {
    "no grant type": ({"grant_type": ""}, "invalid_request"),
    "password": ({"grant_type": "password"}, "unsupported_grant_type"),
    "no client": ({"client_id": ""}, "invalid_request"),
    "unknown client": ({"client_id": "somebody"}, "invalid_client"),
    "no code": ({"code": ""}, "invalid_request"),
    "a secret that it has not": ({"client_secret": "a-secret"}, "invalid_client"),
    "for programs only": ({"grant_type": "client_credentials"}, "unauthorized_client"),
}


@pytest.mark.parametrize(("changes", "error"), TOKEN_REQUESTS.values(), ids=TOKEN_REQUESTS)
def test_a_token_request_is_refused_as_cognito_refuses_it(pool: LocalPool, changes: dict[str, str], error: str) -> None:
    reply = pool.exchanged(pool.code(), **changes)

    assert (reply.status, json_of(reply)) == (400, {"error": error})


def test_a_token_request_is_a_form(pool: LocalPool) -> None:
    headers = {"content-type": "application/json"}

    assert json_of(pool.post("/oauth2/token", "{}", **headers)) == {"error": "invalid_request"}


# Refresh tokens


def test_a_refresh_brings_another_refresh_token_and_the_same_session(pool: LocalPool) -> None:
    first = pool.tokens()
    second = json_of(pool.refreshed(first["refresh_token"]))

    assert second["refresh_token"] != first["refresh_token"]
    before, after = claims_of(first["access_token"]), claims_of(second["access_token"])
    same = ("sub", "scope", "origin_jti", "auth_time")
    assert [before[name] for name in same] == [after[name] for name in same]
    assert before["jti"] != after["jti"]


def test_a_used_refresh_token_is_good_for_the_grace_period(pool: LocalPool) -> None:
    used = pool.tokens()["refresh_token"]
    following = json_of(pool.refreshed(used))["refresh_token"]
    _wait(pool, GRACE_SECONDS - 1)
    assert pool.refreshed(used).status == 200  # the first answer got lost
    _wait(pool, 1)
    assert json_of(pool.refreshed(used)) == {"error": "invalid_grant"}
    assert pool.refreshed(following).status == 200


def test_refreshing_makes_no_session_longer(pool: LocalPool) -> None:
    token = pool.tokens()["refresh_token"]
    _wait(pool, REFRESH_SECONDS - 1)
    token = json_of(pool.refreshed(token))["refresh_token"]
    _wait(pool, 1)
    assert json_of(pool.refreshed(token)) == {"error": "invalid_grant"}


def test_another_clients_refresh_token_is_refused(pool: LocalPool) -> None:
    token, machine = pool.tokens()["refresh_token"], pool.directory.machine

    reply = pool.refreshed(token, client_id=machine.id, client_secret=str(machine.secret))
    assert json_of(reply) == {"error": "invalid_grant"}


def test_a_session_survives_a_restart(pool: LocalPool) -> None:
    token, revoked = pool.tokens()["refresh_token"], pool.tokens()["refresh_token"]
    pool.revoked(revoked)
    pool.restart()

    assert pool.refreshed(token).status == 200
    assert pool.refreshed(revoked).status == 400
    assert (pool.folder / "sessions.json").stat().st_mode & 0o077 == 0
    assert token not in (pool.folder / "sessions.json").read_text()


def test_revocation_ends_a_session_with_all_of_its_tokens(pool: LocalPool) -> None:
    first = pool.tokens()["refresh_token"]
    second = json_of(pool.refreshed(first))["refresh_token"]

    assert (pool.revoked(second).status, pool.revoked(second).body) == (200, b"")
    assert [json_of(pool.refreshed(token))["error"] for token in (first, second)] == ["invalid_grant"] * 2


def test_revocation_takes_refresh_tokens_only(pool: LocalPool) -> None:
    assert json_of(pool.revoked(pool.tokens()["access_token"])) == {"error": "unsupported_token_type"}
    assert json_of(pool.post("/oauth2/revoke", {"client_id": pool.directory.login.id})) == {"error": "invalid_request"}
    assert pool.revoked("nobodys-token").status == 200  # RFC 7009 section 2.2


def test_nobody_else_revokes_a_session(pool: LocalPool) -> None:
    token, machine = pool.tokens()["refresh_token"], pool.directory.machine
    pool.revoked(token, client_id=machine.id, client_secret=str(machine.secret))
    pool.revoked(f"{token.partition('.')[0]}.guessed")

    assert pool.refreshed(token).status == 200


# Programs, and the rest


def _basic(client_id: str, secret: str) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(f'{client_id}:{secret}'.encode()).decode()}"}


def test_a_program_gets_a_token_with_its_own_id_as_sub(pool: LocalPool) -> None:
    machine = pool.directory.machine
    form = {"grant_type": "client_credentials", "scope": "lambda-router/jobs"}
    in_form = {"client_id": machine.id, "client_secret": str(machine.secret)}
    for reply in (
        pool.post("/oauth2/token", form, **_basic(machine.id, str(machine.secret))),
        pool.post("/oauth2/token", form | in_form),
    ):
        claims = claims_of(json_of(reply)["access_token"])
        assert (claims["sub"], claims["client_id"], claims["scope"]) == (machine.id, machine.id, "lambda-router/jobs")
        assert json_of(reply).keys() == {"access_token", "expires_in", "token_type"}


@pytest.mark.parametrize("secret", ["", "wrong", "ü"])
def test_a_program_with_a_wrong_secret_gets_nothing(pool: LocalPool, secret: str) -> None:
    reply = pool.post(
        "/oauth2/token", {"grant_type": "client_credentials"}, **_basic(pool.directory.machine.id, secret)
    )

    assert (reply.status, json_of(reply)) == (400, {"error": "invalid_client"})


def test_user_info_is_for_living_sessions_of_people(pool: LocalPool) -> None:
    tokens = pool.tokens("alice")
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}

    assert json_of(pool.get("/oauth2/userInfo", **bearer))["sub"] == pool.directory.subject("alice")
    pool.revoked(tokens["refresh_token"])
    assert pool.get("/oauth2/userInfo", **bearer).status == 401
    assert pool.get("/oauth2/userInfo", authorization=f"Bearer {tokens['id_token']}").status == 401


def test_a_sign_out_leads_to_registered_addresses_only(pool: LocalPool) -> None:
    client_id = pool.directory.login.id
    registered, other = "http://127.0.0.1:9998/", "http://127.0.0.1:9998"

    assert pool.get("/logout", {"client_id": client_id, "logout_uri": registered}).headers["Location"] == registered
    assert pool.get("/logout", {"client_id": client_id, "logout_uri": other}).status == 400
    assert pool.get("/logout", {"client_id": client_id}).status == 200
    assert pool.get("/logout").status == 400


def test_the_metadata_has_cognitos_members(pool: LocalPool) -> None:
    """Seen at pools with a domain; Cognito promises no ``iss`` with a code, and names no PKCE methods."""
    metadata = json_of(pool.get(f"/{pool.directory.pool_id}/.well-known/openid-configuration"))

    assert sorted(metadata) == [
        "authorization_endpoint", "end_session_endpoint", "id_token_signing_alg_values_supported", "issuer", "jwks_uri",
        "response_types_supported", "revocation_endpoint", "scopes_supported", "subject_types_supported",
        "token_endpoint", "token_endpoint_auth_methods_supported", "userinfo_endpoint",
    ]  # fmt: skip
    assert metadata["issuer"] == f"{ENDPOINT}/{pool.directory.pool_id}"


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/oauth2/token", "GET", 405), ("/login", "PUT", 405), ("/", "GET", 404)]
)
def test_other_requests_are_refused(pool: LocalPool, path: str, method: str, status: int) -> None:
    assert pool.pool.answer(Request(method, path, headers={"host": "127.0.0.1:9999"})).status == status


def test_the_pool_is_set_up_as_the_module_sets_cognito_up() -> None:
    module = page("terraform/modules/cognito/main.tf")

    assert f"login_ports     = [{', '.join(url.split(':')[2].split('/')[0] for url in LOGIN_REDIRECTS)}]" in module
    assert 'login_redirects = [for port in local.login_ports : "http://127.0.0.1:${port}/callback"]' in module
    assert {url.split(":")[2].partition("/")[2] for url in LOGIN_REDIRECTS} == {"callback"}
    assert f"retry_grace_period_seconds = {GRACE_SECONDS} " in module
    variables = page("terraform/modules/cognito/variables.tf")
    assert (
        f"default     = {TOKEN_SECONDS // 60}\n" in variables.partition('"access_token_minutes"')[2].partition("}")[0]
    )
    assert (
        f"default     = {REFRESH_SECONDS // 86_400}\n"
        in variables.partition('"refresh_token_days"')[2].partition("}")[0]
    )


def test_the_key_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"

    assert SigningKey.kept_in(file).jwks() == SigningKey.kept_in(file).jwks()
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("count", [51, 5_000])
def test_too_many_parameters_are_refused(count: int) -> None:
    with pytest.raises(Refused):
        parameters("&".join(f"a{number}=1" for number in range(count)))
