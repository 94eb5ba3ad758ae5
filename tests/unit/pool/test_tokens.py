"""tools.local.pool: codes become tokens, which are refreshed and revoked as Cognito's are."""

import jwt
import pytest

from tests.unit.pool.signing_in import ENDPOINT, LocalPool, claims_of, json_of
from tools.doctor.redirects import LOGIN_REDIRECTS
from tools.local.pool.sessions import CODE_SECONDS, GRACE_SECONDS, REFRESH_SECONDS


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
