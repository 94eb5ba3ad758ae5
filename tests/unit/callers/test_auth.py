"""chalicelib.callers.auth: whose token is taken, when, and who that makes the caller."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.callers.app_clients import AppClients
from chalicelib.callers.auth import Principal, TokenVerifier, bearer_token
from chalicelib.callers.jwks import RemoteKeys, StaticKeys
from chalicelib.errors import InsufficientScope, SigningKeysUnavailable, Unauthenticated
from chalicelib.user_pool import issuers_of
from tests.conftest import CLIENT_ID, ISSUER, POOL, SCOPE, MakeToken, Router
from tests.unit.forge import ABSENT, CLAIMS, HEADER, NOW, Forge

LEEWAY = 10


def principal(verifier: TokenVerifier, token: str) -> Principal:
    return verifier.authenticate([f"Bearer {token}"])


def refusal(verifier: TokenVerifier, token: str) -> str:
    """Why the token is refused; the good one beside it is not."""
    with pytest.raises(Unauthenticated) as refused:
        principal(verifier, token)
    return refused.value.reason


def test_a_good_token_is_taken(forge: Forge, verifier: TokenVerifier):
    caller = principal(verifier, forge.token())
    assert caller.scopes == {SCOPE}
    caller.require(SCOPE)


@pytest.mark.parametrize("typ", [ABSENT, None, "JWT", "at+jwt"], ids=["absent", "null", "JWT", "at+jwt"])
def test_a_token_of_a_usual_type_is_taken(typ: Any, forge: Forge, verifier: TokenVerifier):
    assert principal(verifier, forge.header(typ=typ))


def test_a_caller_is_known_by_a_hash_that_does_not_show_who_it_is(forge: Forge, verifier: TokenVerifier):
    alice, bob = (principal(verifier, forge.claims(sub=sub)).owner for sub in ("alice", "bob"))
    assert alice == principal(verifier, forge.claims(sub="alice", jti="another", scope="other")).owner
    assert alice != bob
    assert len(alice) == 32
    assert set(alice) <= set("0123456789abcdef")


def test_a_machine_is_known_by_a_hash_of_its_client_id(forge: Forge, verifier: TokenVerifier):
    """Cognito writes it into ``sub``, too. What Redis holds of a caller depends on this hash, so it may not change."""
    machine = principal(verifier, forge.claims(sub=CLIENT_ID, client_id=CLIENT_ID))
    assert machine.owner == hashlib.sha256(CLIENT_ID.encode()).hexdigest()[:32]


@pytest.mark.parametrize(
    "sub",
    [ABSENT, None, 1, 0, False, True, ["alice"], [], {}, {"a": 1}, ""],
    ids=lambda sub: "absent" if sub is ABSENT else repr(sub),
)
def test_a_sub_that_is_no_name_is_refused(sub: Any, forge: Forge, verifier: TokenVerifier):
    assert refusal(verifier, forge.claims(sub=sub)) == "sub"


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        (f"openid {SCOPE}  email", {"openid", SCOPE, "email"}),
        ("", set()),
        (ABSENT, set()),
        (None, set()),
        ([SCOPE], set()),
        (1, set()),
        (SCOPE.upper(), {SCOPE.upper()}),
        (f"{SCOPE}s", {f"{SCOPE}s"}),
    ],
    ids=["several", "empty", "absent", "null", "a list", "a number", "upper case", "a longer one"],
)
def test_scopes_are_the_words_of_one_string(scope: Any, scopes: set[str], forge: Forge, verifier: TokenVerifier):
    caller = principal(verifier, forge.claims(scope=scope))
    assert caller.scopes == scopes
    if SCOPE not in scopes:
        with pytest.raises(InsufficientScope, match=SCOPE):
            caller.require(SCOPE)


WRONG_CLAIMS: dict[str, tuple[str, dict[str, Any]]] = {
    "an ID token": ("token_use", {"token_use": "id", "aud": CLIENT_ID, "client_id": ABSENT}),
    "an ID token that names its client": ("token_use", {"token_use": "id"}),
    "no token_use": ("token_use", {"token_use": ABSENT}),
    "token_use in capitals": ("token_use", {"token_use": "ACCESS"}),
    "token_use as a list": ("token_use", {"token_use": ["access"]}),
    "another client": ("client_id", {"client_id": "other-client"}),
    "no client": ("client_id", {"client_id": ABSENT}),
    "a client in a list": ("client_id", {"client_id": [CLIENT_ID]}),
    "a client in an object": ("client_id", {"client_id": {CLIENT_ID: True}}),
    "a client spelt in capitals": ("client_id", {"client_id": CLIENT_ID.upper()}),
    "a client with a space": ("client_id", {"client_id": f"{CLIENT_ID} "}),
    "our client only in aud": ("client_id", {"client_id": ABSENT, "aud": CLIENT_ID}),
    "another pool": ("iss", {"iss": ISSUER.replace("TestPool1", "OtherPool")}),
    "another region": ("iss", {"iss": ISSUER.replace("eu-central-1", "us-east-1")}),
    "a part of our issuer": ("iss", {"iss": ISSUER[:-1]}),
    "more than our issuer": ("iss", {"iss": f"{ISSUER}/"}),
    "our issuer in a list": ("iss", {"iss": [ISSUER]}),
    "no issuer": ("iss", {"iss": ABSENT}),
    "an empty issuer": ("iss", {"iss": ""}),
    "no exp": ("exp or iat is missing", {"exp": ABSENT}),
    "exp null": ("exp or iat is missing", {"exp": None}),
    "no iat": ("exp or iat is missing", {"iat": ABSENT}),
    "exp as a string": ("exp is not an integer", {"exp": str(NOW + 3_540)}),
    "exp as a float": ("exp is not an integer", {"exp": NOW + 3_540.0}),
    "exp 1e300": ("exp is not an integer", {"exp": 1e300}),
    "exp as a list": ("exp is not an integer", {"exp": [NOW + 3_540]}),
    "exp true": ("exp is not an integer", {"exp": True}),
    "iat as a string": ("iat is not an integer", {"iat": str(NOW)}),
    "nbf as a string": ("nbf is not an integer", {"nbf": str(NOW)}),
    "exp of 60 digits": ("exp is too far from iat", {"exp": 10**59}),
    "exp a day and a second after iat": ("exp is too far from iat", {"iat": NOW - 60, "exp": NOW - 60 + 86_401}),
    "exp ten years ahead": ("exp is too far from iat", {"exp": NOW + 315_360_000}),
    "iat long ago": ("exp is too far from iat", {"iat": 0}),
    "iat negative": ("exp is too far from iat", {"iat": -(10**50)}),
    "iat an hour ahead": ("iat or nbf", {"iat": NOW + 3_600, "exp": NOW + 7_200}),
    "nbf an hour ahead": ("iat or nbf", {"nbf": NOW + 3_600}),
    "expired an hour ago": ("exp", {"iat": NOW - 7_200, "exp": NOW - 3_600}),
    "exp 0": ("exp", {"exp": 0}),
    "exp negative": ("exp", {"exp": -(10**50)}),
}


@pytest.mark.parametrize(("reason", "claims"), WRONG_CLAIMS.values(), ids=WRONG_CLAIMS)
def test_a_signed_token_with_wrong_claims_is_refused(
    reason: str, claims: dict[str, Any], forge: Forge, verifier: TokenVerifier
):
    assert principal(verifier, forge.claims())
    assert refusal(verifier, forge.claims(**claims)) == reason


TIMES: dict[str, tuple[dict[str, Any], bool]] = {
    "exp within the leeway": ({"exp": NOW - LEEWAY + 1}, True),
    "exp at the leeway's end": ({"exp": NOW - LEEWAY}, False),
    "iat within the leeway": ({"iat": NOW + LEEWAY}, True),
    "iat past the leeway": ({"iat": NOW + LEEWAY + 1}, False),
    "nbf within the leeway": ({"nbf": NOW + LEEWAY}, True),
    "nbf past the leeway": ({"nbf": NOW + LEEWAY + 1}, False),
    "nbf null": ({"nbf": None}, True),
    "a life of a day": ({"iat": NOW - 60, "exp": NOW - 60 + 86_400}, True),
    "a life of a day and a second": ({"iat": NOW - 60, "exp": NOW - 60 + 86_401}, False),
    "a life of a second": ({"iat": NOW, "exp": NOW + 1}, True),
    "no life at all": ({"iat": NOW, "exp": NOW}, False),
    "a life that ends before it begins": ({"iat": NOW + 2, "exp": NOW + 1}, False),
}


@pytest.mark.parametrize(("claims", "taken"), TIMES.values(), ids=TIMES)
def test_times_hold_to_the_second(claims: dict[str, Any], taken: bool, forge: Forge, verifier: TokenVerifier):
    token = forge.claims(**claims)
    assert principal(verifier, token) if taken else refusal(verifier, token)


def test_a_token_is_good_until_its_time_is_up(forge: Forge, jwks: dict[str, Any]):
    now = [NOW]
    keys = StaticKeys(json.dumps(jwks).encode())
    verifier = TokenVerifier(
        keys, issuers=[ISSUER], clients=AppClients([CLIENT_ID]), leeway_seconds=0, clock=lambda: now[0]
    )
    token = forge.claims(iat=NOW, exp=NOW + 300)
    assert principal(verifier, token)
    now[0] = NOW + 299.999
    assert principal(verifier, token)
    now[0] = NOW + 300
    assert refusal(verifier, token) == "exp"


@pytest.mark.parametrize("issuer", issuers_of(POOL).values())
def test_both_issuers_of_the_pool_are_taken(issuer: str, forge: Forge, jwks: dict[str, Any]):
    keys = StaticKeys(json.dumps(jwks).encode())
    issuers = issuers_of(POOL).values()
    verifier = TokenVerifier(
        keys, issuers=issuers, clients=AppClients([CLIENT_ID]), leeway_seconds=0, clock=lambda: NOW
    )
    assert principal(verifier, forge.claims(iss=issuer))
    others = [issuer.replace("TestPool1", "OtherPool"), issuer.replace("eu-central-1.", "us-east-1."), f"{issuer}/"]
    for another in [*others, issuer[:-1], issuer.upper(), issuer.replace("https", "http"), ",".join(issuers)]:
        assert refusal(verifier, forge.claims(iss=another)) == "iss"


def test_any_of_several_clients_is_taken(forge: Forge, jwks: dict[str, Any]):
    keys = StaticKeys(json.dumps(jwks).encode())
    verifier = TokenVerifier(
        keys, issuers=[ISSUER], clients=AppClients(["a", "b"]), leeway_seconds=0, clock=lambda: NOW
    )
    assert principal(verifier, forge.claims(client_id="a"))
    assert principal(verifier, forge.claims(client_id="b"))
    assert refusal(verifier, forge.claims(client_id="a,b")) == "client_id"


def test_an_audience_beside_the_client_is_no_reason_to_refuse(forge: Forge, verifier: TokenVerifier):
    """Cognito binds tokens to resources by ``aud``; who may call is said by ``client_id``."""
    assert principal(verifier, forge.claims(aud="https://jobs.example.com"))


def test_without_any_keys_the_answer_is_503_and_not_401(forge: Forge):
    def down(_: str) -> bytes:
        raise OSError("down")

    keys = RemoteKeys("https://example.com", fetch=down)
    verifier = TokenVerifier(
        keys, issuers=[ISSUER], clients=AppClients([CLIENT_ID]), leeway_seconds=0, clock=lambda: NOW
    )
    with pytest.raises(SigningKeysUnavailable):
        principal(verifier, forge.token())
    assert refusal(verifier, forge.header(alg="HS256")) == "header"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_is_bearer_in_any_case(scheme: str):
    assert bearer_token([f"{scheme} abc"]) == "abc"


SCHEMES = {
    "no header": ([], "0 Authorization headers"),
    "two headers": (["Bearer a", "Bearer a"], "2 Authorization headers"),
    "an empty header": ([""], "scheme is not Bearer"),
    "Basic": (["Basic YTpi"], "scheme is not Bearer"),
    "DPoP": (["DPoP abc"], "scheme is not Bearer"),
    "no scheme": (["abc"], "scheme is not Bearer"),
    "a space in front": ([" Bearer abc"], "scheme is not Bearer"),
    "a tab behind the scheme": (["Bearer\tabc"], "scheme is not Bearer"),
    "a colon behind the scheme": (["Bearer: abc"], "scheme is not Bearer"),
}


@pytest.mark.parametrize(("headers", "reason"), SCHEMES.values(), ids=SCHEMES)
def test_anything_but_one_bearer_header_is_refused(headers: list[str], reason: str):
    with pytest.raises(Unauthenticated) as refused:
        bearer_token(headers)
    assert refused.value.reason == reason


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Bearer Bearer {}", "Bearer  {}", "Bearer {} ", "Bearer {},x"])
def test_a_bearer_header_holds_one_token_and_nothing_else(value: str, forge: Forge, verifier: TokenVerifier):
    assert verifier.authenticate(["Bearer {}".format(forge.token())])  # noqa: UP032
    with pytest.raises(Unauthenticated) as refused:
        verifier.authenticate([value.format(forge.token())])
    assert refused.value.reason in {"not a compact JWS", "scheme is not Bearer"}


@pytest.mark.parametrize("kind", ["ORIGINAL", "UPDATED"])
def test_over_http_a_token_of_either_issuer_type_is_taken(kind: str, make_token: MakeToken, router: Router):
    token = make_token(iss=issuers_of(POOL)[kind])
    assert router.as_caller(token).get("/v1/jobs").status == 200
    another = make_token(iss=issuers_of(POOL)[kind].replace("TestPool1", "OtherPool"))
    assert router.as_caller(another).get("/v1/jobs").status == 401


def test_over_http_a_token_without_sub_gets_401(make_token: MakeToken, router: Router):
    assert router.as_caller(make_token(sub=None)).get("/v1/jobs").status == 401


REFUSED_OVER_HTTP: dict[str, Callable[[str], Any]] = {
    "no header": lambda _: None,
    "two headers": lambda token: [f"Bearer {token}", f"Bearer {token}"],
    "Basic": lambda _: "Basic YTpi",
    "junk": lambda _: "Bearer junk",
    "a broken signature": lambda token: f"Bearer {token[:-8]}",
    "too long": lambda token: f"Bearer {token}{'A' * 8_192}",
}


@pytest.mark.parametrize("header", REFUSED_OVER_HTTP.values(), ids=REFUSED_OVER_HTTP)
def test_over_http_every_refusal_reads_the_same(header: Callable[[str], Any], router: Router):
    assert router.token
    assert router.get("/v1/jobs").status == 200
    reply = router.get("/v1/jobs", headers={"Authorization": header(router.token)})
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert reply.json | {"instance": ""} == Unauthenticated("").to_dict("") | {"instance": ""}
    assert router.token not in reply.body


@given(st.text() | st.from_regex(r"\A[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\Z"))
@example("\ud800.a.b")
@example("....")
def test_any_string_is_unauthenticated_and_never_another_error(verifier: TokenVerifier, text: str):
    with pytest.raises(Unauthenticated):
        verifier.authenticate([f"Bearer {text}"])
    with pytest.raises(Unauthenticated):
        verifier.authenticate([text])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["alg", "kid", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "jwk"]), json_values, min_size=1))
def test_any_signed_header_is_accepted_or_unauthenticated(
    forge: Forge, verifier: TokenVerifier, header: dict[str, Any]
):
    check(verifier, forge.token(HEADER | header))


@given(st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "aud", "crit"]), json_values, min_size=1))
def test_any_signed_claims_are_accepted_or_unauthenticated(
    forge: Forge, verifier: TokenVerifier, claims: dict[str, Any]
):
    check(verifier, forge.token(HEADER, CLAIMS | claims))


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_any_signed_bytes_are_unauthenticated(forge: Forge, verifier: TokenVerifier, header: bytes, claims: bytes):
    with pytest.raises(Unauthenticated):
        verifier.authenticate([f"Bearer {forge.token(header, claims)}"])
    with pytest.raises(Unauthenticated):
        verifier.authenticate([f"Bearer {forge.token(HEADER, claims)}"])


def check(verifier: TokenVerifier, token: str) -> None:
    """Accepted or Unauthenticated: anything else fails the test by itself."""
    try:
        principal = verifier.authenticate([f"Bearer {token}"])
    except Unauthenticated:
        return
    assert len(principal.owner) == 32
