"""tools.local.pool: programs, user info, sign-out and metadata; and the setup of ``terraform/modules/cognito``."""

import base64
from pathlib import Path

import pytest

from tests.contract.repository import page
from tests.unit.pool.signing_in import ENDPOINT, LocalPool, claims_of, json_of
from tools.doctor.redirects import LOGIN_REDIRECTS
from tools.local.pool.messages import Refused, Request, parameters
from tools.local.pool.sessions import GRACE_SECONDS, REFRESH_SECONDS
from tools.local.pool.tokens import TOKEN_SECONDS, SigningKey


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
    pool.pages.set(registered)

    assert pool.get("/logout", {"client_id": client_id, "logout_uri": registered}).headers["Location"] == registered
    assert pool.get("/logout", {"client_id": client_id, "logout_uri": other}).status == 400
    assert (
        pool.get("/logout", {"client_id": client_id, "logout_uri": f"{registered}docs/oauth2-redirect"}).status == 400
    )
    assert pool.get("/logout", {"client_id": pool.directory.machine.id, "logout_uri": registered}).status == 400
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
