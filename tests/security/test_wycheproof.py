"""Wycheproof's tokens and key sets: our checks against cases that break libraries."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from chalicelib.callers.auth import signed_payload
from chalicelib.callers.jwks import BadKeySet, StaticKeys, check_purpose
from chalicelib.errors import Unauthenticated
from tests import corpora
from tests.conftest import Router

#: Labels that a correct verifier cannot meet.
DISPUTED = {
    346: "the token says PS384, its key says PS256",
    350: "the token says PS384, its key says PS256",
    347: "its key says ES521, which there is not",
    351: "its key says ES521, which there is not",
    367: "called invalid, and the same string as the valid case 357",
    370: "called invalid, and the same string as the valid case 357",
    372: "called valid, with a '?' in its base64url",
    373: "called valid, with a '?' in its base64url",
}
RS256_VALID = {33, 259, 260, 261, 262, 263, 345, 349}
#: Valid key sets, and refused by policy all the same: their keys are shared secrets, and ours are for RS256 only.
SECRETS = {2, 13, 14, 15}


@dataclass(frozen=True)
class Case:
    """A token, the key that its group has for it, and what Wycheproof thinks of it."""

    number: int
    token: str
    key: dict[str, Any]
    valid: bool


def cases() -> Iterator[Case]:
    for group in json.loads(corpora.SIGNATURES.place().read_text())["testGroups"]:
        key = group.get("public", group["private"])
        for case in group["tests"]:
            yield Case(case["tcId"], case["jws"], key, case["result"] == "valid")


class OneKey:
    """Takes any key for the algorithm that it is for, where production takes RSA keys for RS256 only."""

    def __init__(self, member: dict[str, Any], algorithm: str) -> None:
        check_purpose(member)
        self._key = PyJWK(member, algorithm=algorithm)

    def key(self, kid: str) -> PyJWK | None:
        return self._key if kid == self._key.key_id else None


def algorithm_of(case: Case) -> str:
    """The key's own; where it names none, what its group's tokens are signed with."""
    return str(case.key.get("alg", {"RSA": "RS256", "EC": "ES256"}.get(case.key["kty"])))


def taken_with_the_keys_own_algorithm(case: Case) -> bool:
    try:
        signed_payload(case.token, OneKey(case.key, algorithm_of(case)), algorithm_of(case))
    except (Unauthenticated, BadKeySet, PyJWTError):
        return False
    return True


def taken_in_production(case: Case) -> bool:
    try:
        signed_payload(case.token, StaticKeys(json.dumps({"keys": [case.key]}).encode()))
    except (Unauthenticated, BadKeySet):
        return False
    return True


def test_every_undisputed_signature_gets_its_verdict() -> None:
    undisputed = [case for case in cases() if case.number not in DISPUTED]

    assert len(undisputed) == 393
    assert [case.number for case in undisputed if taken_with_the_keys_own_algorithm(case) != case.valid] == []


def test_with_production_settings_exactly_the_valid_rs256_signatures_are_taken() -> None:
    assert {case.number for case in cases() if taken_in_production(case)} == RS256_VALID


def key_sets() -> dict[int, tuple[str, bytes]]:
    """Case number → verdict and published key set."""
    groups = json.loads(corpora.KEY_SETS.place().read_text())["testGroups"]
    return {
        case["tcId"]: (case["result"], json.dumps(group.get("public", group["private"])).encode())
        for group in groups
        for case in group["tests"]
    }


def is_taken(key_set: bytes) -> bool:
    try:
        StaticKeys(key_set)
    except BadKeySet:
        return False
    return True


def test_of_the_key_sets_only_the_valid_one_for_rs256_is_taken() -> None:
    sets = key_sets()

    assert sum(verdict == "invalid" for verdict, _ in sets.values()) == 21
    assert {number for number, (verdict, _) in sets.items() if verdict == "valid"} == SECRETS | {5}
    assert {number for number, (_, key_set) in sets.items() if is_taken(key_set)} == {5}


@pytest.mark.parametrize(
    ("corpus", "count"),
    [(corpora.SIGNATURES, 401), (corpora.MIXED, 83), (corpora.ENCRYPTIONS, 139)],
    ids=["signatures", "mixed", "encryptions"],
)
def test_over_http_each_of_their_tokens_is_401(corpus: corpora.Corpus, count: int, router: Router) -> None:
    groups = json.loads(corpus.place().read_text())["testGroups"]
    tokens = [case.get("jws", case.get("jwe")) for group in groups for case in group["tests"]]
    replies = [router.as_caller(token).get("/v1/jobs") for token in tokens]

    assert len(tokens) == count
    assert {reply.status for reply in replies} == {401}
    assert {reply.headers["www-authenticate"] for reply in replies} == {'Bearer error="invalid_token"'}


def test_over_http_each_key_set_sent_as_a_token_is_401(router: Router) -> None:
    replies = [router.as_caller(key_set.decode()).get("/v1/jobs") for _, key_set in key_sets().values()]

    assert [reply.status for reply in replies] == [401] * 26
