"""chalicelib.callers.proved_tokens: a signature is proved once, and everything else every time."""

import copy
import hashlib
import json
import sys
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt import PyJWK

from chalicelib.callers.app_clients import AppClients
from chalicelib.callers.auth import TokenVerifier
from chalicelib.callers.jwks import parse_jwks
from chalicelib.callers.proved_tokens import MAX_BYTES, Proof, ProvedTokens, digest_of
from chalicelib.errors import Unauthenticated
from tests.conftest import CLIENT_ID, ISSUER, KID, MakeToken, public_jwk


class Keys:
    """A key set that changes while a test runs, and the verifier's clock."""

    def __init__(self, jwks: dict[str, Any]) -> None:
        self.known = parse_jwks(json.dumps(jwks).encode())
        self.now: float | None = None

    def key(self, kid: str) -> PyJWK | None:
        return self.known.get(kid)


@pytest.fixture
def keys(jwks: dict[str, Any]) -> Keys:
    return Keys(jwks)


def verifier_of(keys: Keys, now: float) -> TokenVerifier:
    keys.now = now
    return TokenVerifier(
        keys, issuers=[ISSUER], clients=AppClients([CLIENT_ID]), leeway_seconds=10, clock=lambda: keys.now or 0
    )


def remembered(verifier: TokenVerifier) -> int:
    return len(verifier._proved._proofs)


def test_a_token_is_proved_once(keys: Keys, make_token: MakeToken):
    verifier = verifier_of(keys, 1_000)
    token = make_token(iat=1_000, exp=2_000)
    first = verifier.authenticate([f"Bearer {token}"])
    assert verifier._proved.claims(digest_of(token), keys)
    assert verifier.authenticate([f"Bearer {token}"]) == first
    assert remembered(verifier) == 1


class Counting:
    """A key's algorithm that counts the signatures it proves."""

    def __init__(self, key: PyJWK) -> None:
        self._algorithm = key.Algorithm
        self.proofs = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._algorithm, name)

    def verify(self, *arguments: Any) -> bool:
        self.proofs += 1
        return self._algorithm.verify(*arguments)


def test_the_second_time_no_signature_is_proved(keys: Keys, make_token: MakeToken):
    verifier = verifier_of(keys, 1_000)
    keys.known[KID] = copy.copy(keys.known[KID])
    counting = keys.known[KID].Algorithm = Counting(keys.known[KID])
    bearer, another = ([f"Bearer {make_token(iat=1_000, exp=2_000)}"] for _ in range(2))

    assert verifier.authenticate(bearer) == verifier.authenticate(bearer) == verifier.authenticate(another)
    assert counting.proofs == 2


def test_a_proved_token_is_refused_once_it_has_expired(keys: Keys, make_token: MakeToken):
    verifier = verifier_of(keys, 1_000)
    bearer = [f"Bearer {make_token(iat=1_000, exp=2_000)}"]
    verifier.authenticate(bearer)
    keys.now = 2_009
    verifier.authenticate(bearer)
    keys.now = 2_010
    with pytest.raises(Unauthenticated) as refusal:
        verifier.authenticate(bearer)
    assert refusal.value.reason == "exp"


@pytest.mark.parametrize("claims", [{"token_use": "id"}, {"client_id": "other"}, {"iss": "other"}], ids=str)
def test_a_token_with_a_wrong_claim_stays_refused(keys: Keys, make_token: MakeToken, claims: dict[str, str]):
    verifier = verifier_of(keys, 1_000)
    bearer = [f"Bearer {make_token(iat=1_000, exp=2_000, **claims)}"]
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            verifier.authenticate(bearer)


def test_a_withdrawn_key_takes_its_proofs_with_it(keys: Keys, make_token: MakeToken):
    verifier = verifier_of(keys, 1_000)
    bearer = [f"Bearer {make_token(iat=1_000, exp=2_000)}"]
    verifier.authenticate(bearer)
    del keys.known[KID]
    with pytest.raises(Unauthenticated) as refusal:
        verifier.authenticate(bearer)
    assert refusal.value.reason == "unknown kid"


def test_another_key_under_the_same_id_is_asked_itself(keys: Keys, make_token: MakeToken):
    verifier = verifier_of(keys, 1_000)
    bearer = [f"Bearer {make_token(iat=1_000, exp=2_000)}"]
    verifier.authenticate(bearer)
    other = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    keys.known = parse_jwks(json.dumps({"keys": [public_jwk(other)]}).encode())
    with pytest.raises(Unauthenticated) as refusal:
        verifier.authenticate(bearer)
    assert refusal.value.reason == "signature"


def test_a_token_that_differs_in_one_character_is_proved_itself(keys: Keys, make_token: MakeToken):
    verifier = verifier_of(keys, 1_000)
    token = make_token(iat=1_000, exp=2_000)
    verifier.authenticate([f"Bearer {token}"])
    place = token.rindex(".") + 5
    forged = f"{token[:place]}{'A' if token[place] != 'A' else 'B'}{token[place + 1 :]}"
    with pytest.raises(Unauthenticated):
        verifier.authenticate([f"Bearer {forged}"])
    assert remembered(verifier) == 1


def test_a_bad_signature_is_never_remembered(keys: Keys, make_token: MakeToken):
    other = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    verifier = verifier_of(keys, 1_000)
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            verifier.authenticate([f"Bearer {make_token(key=other, iat=1_000, exp=2_000)}"])
    assert remembered(verifier) == 0


def test_the_oldest_makes_room(keys: Keys):
    proved, key = ProvedTokens(limit=2), keys.known[KID]
    for token in ("a", "b", "a", "c"):
        proved.remember(digest_of(token), Proof(KID, key, {"sub": token}))
    assert [proved.claims(digest_of(token), keys) for token in "abc"] == [{"sub": "a"}, None, {"sub": "c"}]


def test_what_it_holds_is_bounded(keys: Keys):
    proved = ProvedTokens(limit=100)
    for number in range(1_000):
        proved.remember(digest_of(f"token-{number}"), Proof(KID, keys.known[KID], {}))
    assert len(proved._proofs) == 100


def test_what_it_holds_names_no_token(keys: Keys, make_token: MakeToken):
    verifier = verifier_of(keys, 1_000)
    token = make_token(iat=1_000, exp=2_000)
    verifier.authenticate([f"Bearer {token}"])
    assert list(verifier._proved._proofs) == [hashlib.sha256(token.encode()).digest()]


def weight(value: Any) -> int:
    """Bytes in memory, with all that is inside."""
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return sys.getsizeof(value) + sum(map(weight, inner))


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "s" * 5_400},
        {"other": [[[] for _ in range(40)] for _ in range(40)]},
        {"sub": [[] for _ in range(1_500)]},
        {"client_id": {f"{number}": [] for number in range(600)}},
    ],
    ids=["a long scope", "lists that nobody reads", "lists as sub", "an object as client_id"],
)
def test_what_is_remembered_has_no_more_than_a_megabyte(keys: Keys, make_token: MakeToken, claims: dict[str, Any]):
    verifier = verifier_of(keys, 1_000)
    for number in range(200):
        token = make_token(iat=1_000, exp=2_000, jti=str(number), **claims)
        with suppress(Unauthenticated):
            verifier.authenticate([f"Bearer {token}"])

    assert sum(weight(proof.claims) for proof in verifier._proved._proofs.values()) <= MAX_BYTES
